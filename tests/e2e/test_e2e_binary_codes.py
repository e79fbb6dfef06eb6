"""Whole runs with codes in binary messages, against python-websockets with msgpack."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgpack
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

from tests.support.runs import QUICK, Outcome, run

pytestmark = [pytest.mark.e2e, pytest.mark.dear]

#: A code of 27 characters, which msgpack writes as 0xbb and the text (fixstr).
PROFILE = """\
transport = "websocket"

[connect]
path = "/"
send_hex = ["81a2 6869 c3"]     # {"hi": true}

[confirm]
regex = '^\\x81\\xa2ok\\xc3$'

[code]
template = "LT-{run}-{seq:04}-{sent}"
regex = '\\xbb(LT-[0-9a-z-]{24})'

[ingest]
"""
#: {"c": code}
WAYS = {
    "connection": 'over = "connection"\nexpect = "none"\nsend_hex = "81 a163 bb{code}"\n',
    "listener": 'over = "listener"\necho = true\nsend_base64 = "gaFjuw=={code}"\n',
}


class PackedServer:
    """Broadcasts each map with a code to all clients that have said hello.

    Attributes:
        codes: the codes that it was given, in order.
        senders: how many codes came from each client.
        invalid: what could not be decoded.
    """

    def __init__(self) -> None:
        self.codes: list[str] = []
        self.senders: Counter[int] = Counter()
        self.invalid: list[object] = []
        self._listeners: set[ServerConnection] = set()
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def serving(self) -> Iterator[str]:
        """Serve; yield the URL."""
        with serve(self._handle, "127.0.0.1", 0) as server:
            thread = threading.Thread(target=server.serve_forever, daemon=True)
            thread.start()
            try:
                yield f"http://127.0.0.1:{server.socket.getsockname()[1]}"
            finally:
                server.shutdown()
                thread.join(5)

    def _handle(self, client: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            for message in client:
                with self._lock:
                    self._take(client, message)
        self._listeners.discard(client)

    def _take(self, client: ServerConnection, message: object) -> None:
        try:
            assert isinstance(message, bytes)
            value = msgpack.unpackb(message)
        except (AssertionError, ValueError):
            self.invalid.append(message)
            return
        if value == {"hi": True}:
            client.send(msgpack.packb({"ok": True}))
            self._listeners.add(client)
            return
        self.codes.append(value["c"])
        self.senders[id(client)] += 1
        for each in self._listeners:
            with contextlib.suppress(ConnectionClosed):
                each.send(msgpack.packb({"n": [1, 2.5, None], "c": value["c"]}))


def run_with(folder: Path, server: PackedServer, way: str) -> Outcome:
    path = folder / "packed.toml"
    path.write_text(PROFILE + WAYS[way], "utf-8")
    with server.serving() as url:
        return run(folder / "run", "5", "10", "1", *QUICK, "--target", str(path), "--host", url)


@pytest.mark.parametrize("way", WAYS)
def test_codes_go_in_and_come_out_in_binary_messages(tmp_path: Path, way: str) -> None:
    server = PackedServer()
    outcome = run_with(tmp_path, server, way)
    deliveries = outcome.report["deliveries"]
    assert server.invalid == []
    assert [int(each.split("-")[2]) for each in sorted(server.codes)] == [*range(1, 11)]
    assert sorted(server.senders.values()) == ([10] if way == "connection" else [2] * 5)
    assert outcome.report["codes"]["accepted"] == 10
    assert (deliveries["owed"], deliveries["delivered"]) == (50, 50)
    assert outcome.grade == "good"
