"""The way to connect that Socket.IO's own clients take, where a profile takes another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import gevent
from gevent.event import AsyncResult

from sseload_users.cli.check_output import CheckOutput
from sseload_users.core.formatting import count
from sseload_users.run.before_requests import BeforeRequests
from sseload_users.targets import Target
from sseload_users.targets.identities import Identity
from sseload_users.transports import ConnectFailed
from sseload_users.transports.endpoint import Endpoint
from sseload_users.transports.engine_transport import EngineTransport, Passage
from sseload_users.users.session_requests import SessionRequests

#: Seconds that a session has to go over from polling to WebSocket.
_PASSAGE_S = 5.0


def check_polling(
    target: Target, users: Sequence[Identity], before: BeforeRequests, output: CheckOutput
) -> None:
    """Connect as clients do that poll first, and say so if they could not.

    Nothing is tried if the profile's transport is not Socket.IO, or polls first itself.

    Args:
        target: where and how to connect.
        users: one for each connection to try.
        before: makes the requests before connecting; has the network.
        output: prints the result.
    """
    spec = target.profile.spec
    if spec.transport != "socketio" or spec.connect.transports[0] == "polling":
        return
    trying = [gevent.spawn(_try_to_poll, target, user, before) for user in users]
    gevent.joinall(trying)
    failures = [each.value for each in trying if isinstance(each.value, ConnectFailed)]
    if not failures:
        return
    error = failures[0]
    which = "clients" if len(failures) == len(users) else "some of the clients"
    cannot = "go over to WebSocket" if error.operation == "upgrade" else "connect"
    causes = Counter(each.cause for each in failures)
    why = ", ".join(f"{many} × {cause}" for cause, many in causes.most_common())
    output.step(
        "ways",
        f"warning: {which} that poll first, as Socket.IO's own do by default, cannot {cannot}: "
        f"{len(failures)} of {count(len(users), 'attempt')} failed ({why})",
    )
    if hint := output.hint(error.operation, error.cause, error.server_text):
        output.advice(hint)


def _try_to_poll(
    target: Target, identity: Identity, before: BeforeRequests
) -> ConnectFailed | None:
    """Connect by polling and go over to WebSocket; return why that failed, if it did."""
    from sseload_users.transports.socketio import SocketIOTransport

    requests = SessionRequests(target, identity, before)
    passed: AsyncResult[ConnectFailed | None] = AsyncResult()

    def on_passage(passage: Passage, cause: str, server_text: str) -> None:
        if passage == "upgraded":
            passed.set(None)
        elif passage == "failed":
            passed.set(ConnectFailed("upgrade", cause, server_text=server_text))

    def make(endpoint: Endpoint) -> EngineTransport:
        transport = SocketIOTransport(
            replace(endpoint, transports=("polling", "websocket")),
            before.network,
            lambda *_: None,
            lambda _: None,
        )
        transport.on_passage = on_passage
        return transport

    try:
        transport = requests.connect(make)
    except ConnectFailed as error:
        return error

    def listen() -> None:
        closed = transport.listen()
        if not passed.ready():
            passed.set(ConnectFailed("session", closed.cause, server_text=closed.reason))

    listening = gevent.spawn(listen)
    try:
        # A server without WebSocket stays on polling, and so does one that is slow.
        failed: ConnectFailed | None = passed.get(timeout=_PASSAGE_S)
    except gevent.Timeout:
        return None
    else:
        return failed
    finally:
        requests.end()
        transport.leave()
        listening.join(2)
