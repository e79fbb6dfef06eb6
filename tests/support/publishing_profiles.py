"""Profiles whose codes are handed in over a connection, for `tests.servers.broadcast`."""

from __future__ import annotations

PLAIN = """\
transport = "{listeners}"
[connect]
path = "{path}"
[confirm]
fields = {{ "type" = "connected" }}
[code]
field = "code"
[ingest]
over = "connection"
send = {{ "code" = "{{code}}" }}
expect = {expect}
"""
OWN = '[ingest.connect]\ntransport = "websocket"\npath = "/publish"\n'
STORED = '{ "fields" = { "type" = "stored", "code" = "{code}" } }'
REFUSE = '[[ingest.refuse]]\nfields = { "type" = "error" }\nreason = "message"\n'


def plain(expect: str = STORED, listeners: str = "websocket", more: str = OWN) -> str:
    """Return a profile for the server's plain WebSockets and event streams."""
    path = "/listen" if listeners == "websocket" else "/stream"
    return PLAIN.format(listeners=listeners, path=path, expect=expect) + more
