"""WebSocket against real servers: what the contract of all transports leaves open."""

from __future__ import annotations

import contextlib
import gzip
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import gevent
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.extensions.base import ServerExtensionFactory
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.http11 import Request, Response
from websockets.sync.server import Server, ServerConnection, serve
from websockets.typing import Subprotocol

from sseload_users.transports import Closed, ConnectFailed
from sseload_users.transports.endpoint import Endpoint
from sseload_users.transports.network import Network
from tests.support.deflating import MessageDeflater
from tests.support.listener import LEFT, Listener
from tests.support.replies import confirmed_by
from tests.support.socket_servers import CERTIFICATES, Handler, read_until, serving
from tests.support.wire import accept_websocket, acceptance_of, frame, unmask


@contextlib.contextmanager
def websocket_server(
    handler: Callable[[ServerConnection], object],
    *,
    process_request: Callable[[ServerConnection, Request], Response | None] | None = None,
    subprotocols: list[Subprotocol] | None = None,
    extensions: list[ServerExtensionFactory] | None = None,
) -> Iterator[str]:
    """Serve WebSocket: give each connection to the handler; yield the URL."""

    def handle(connection: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            handler(connection)

    server: Server = serve(
        handle,
        "127.0.0.1",
        0,
        process_request=process_request,
        subprotocols=subprotocols,
        extensions=extensions,
        compression=None,
    )
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"ws://localhost:{server.socket.getsockname()[1]}/codes?as=x"
    finally:
        server.shutdown()
        thread.join(5)


def listener_to(endpoint: Endpoint | str, network: Network | None = None) -> Listener:
    return Listener("websocket", endpoint, network)


def test_text_binary_and_fragmented_messages_arrive() -> None:
    def server(connection: ServerConnection) -> None:
        connection.send("one")
        connection.send(b"two")
        connection.send(["th", "r", "ee"])
        assert connection.ping().wait(5)
        connection.send("é" * 100_000)
        connection.close(4001, "enough")

    with websocket_server(server) as url:
        listener = listener_to(url)
        assert listener.run() == Closed("server", "closed by server: 4001", 4001, "enough")
    assert listener.payloads == [b"one", b"two", b"three", ("é" * 100_000).encode()]
    assert not listener.malformed


# Subscribing


def pong(message: bytes, send: Callable[[str], object]) -> None:
    if message.startswith(b"ping "):
        send(f"pong {message[5:].decode()}")


def subscription(url: str, **more: object) -> Endpoint:
    return Endpoint(
        url,
        hello=('{"join":"codes"}', '{"since":"now"}'),
        confirm=confirmed_by(b"joined"),
        refuse=lambda message: "not allowed" if message.startswith(b"denied") else None,
        reply=pong,
    )


def test_hello_and_replies_reach_the_server() -> None:
    heard: list[str | bytes] = []

    def server(connection: ServerConnection) -> None:
        heard.extend([connection.recv(), connection.recv()])
        connection.send("ping 1")
        heard.append(connection.recv())
        connection.send("joined")
        connection.send("ping 2")
        heard.append(connection.recv())

    with websocket_server(server) as url:
        listener = listener_to(subscription(url))
        assert listener.run().code == 1000
    assert heard == ['{"join":"codes"}', '{"since":"now"}', "pong 1", "pong 2"]


def refuse(connection: ServerConnection) -> None:
    connection.send("hello")
    connection.send("denied: unknown user")
    connection.recv()
    connection.recv()


def close(connection: ServerConnection) -> None:
    connection.close(4003, "who are you?")


@pytest.mark.parametrize(
    ("server", "cause", "text"),
    [
        (refuse, "not allowed", "denied: unknown user"),
        (close, "closed by server: 4003", "who are you?"),
    ],
)
def test_a_refused_subscription_has_the_servers_text(
    server: Callable[[ServerConnection], object], cause: str, text: str
) -> None:
    with websocket_server(server) as url:
        failed = listener_to(subscription(url)).fails()
    assert (failed.operation, failed.cause, failed.server_text) == ("subscribe", cause, text)


# The handshake


def responds(*pieces: bytes, stays: bool = False) -> Handler:
    """A server that sends a response in pieces."""

    def server(connection: socket.socket) -> None:
        read_until(connection, b"\r\n\r\n")
        for piece in pieces:
            connection.sendall(piece)
            time.sleep(0.01)
        if stays:
            connection.recv(1)

    return server


@pytest.mark.parametrize(
    ("response", "cause"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", "HTTP 200"),
        (b"HTTP/1.1 301 F\r\n\r\n", "redirected: HTTP 301"),
        (b"HTTP/1.1 101 Hm\r\nUpgrade: websocket\r\n\r\n", "bad handshake answer"),
        (b"HTTP/1.1 101 Hm\r\nSet-Cookie: a:b=c\r\n\r\n", "bad handshake answer"),
        (b"\xff\xfe\r\n\r\n", "bad handshake answer"),
        (b"\r\n", "bad handshake answer"),
    ],
)
def test_a_response_that_switches_no_protocols_has_a_short_cause(
    response: bytes, cause: str
) -> None:
    with serving(responds(response)) as port:
        failed = listener_to(f"ws://127.0.0.1:{port}/").fails()
    assert (failed.operation, failed.cause) == ("handshake", cause)


def switches(
    *headers: str, accept: str = "", upgrade: str = "websocket", before: bytes = b"", after: bytes
) -> Handler:
    """A server that switches protocols with these headers, and sends bytes around them."""

    def server(connection: socket.socket) -> None:
        request = read_until(connection, b"\r\n\r\n")
        right = acceptance_of(request).decode().split("Sec-WebSocket-Accept: ")[1].split()[0]
        lines = [
            "HTTP/1.1 101 Switching Protocols",
            f"Upgrade: {upgrade}",
            "connection: keep-alive, upgrade",
            f"Sec-WebSocket-Accept: {accept or right}",
            *headers,
        ]
        connection.sendall(before + "\r\n".join([*lines, "", ""]).encode() + after)
        connection.recv(1)

    return server


@pytest.mark.parametrize(
    ("server", "detail"),
    [
        (switches("Sec-WebSocket-Protocol: codes.v3", after=b""), "'codes.v3' was not offered"),
        (switches("Sec-WebSocket-Protocol: CODES.v2", after=b""), "'CODES.v2' was not offered"),
        (
            switches(*["Sec-WebSocket-Protocol: codes.v2"] * 2, after=b""),
            "'codes.v2, codes.v2' was not offered",
        ),
        (switches(after=b""), "no subprotocol was chosen"),
        (switches(accept="aGVsbG8gd29ybGQhIGhlbGxv", after=b""), "Sec-WebSocket-Accept is wrong"),
        (switches(upgrade="h2c", after=b""), "Upgrade is not websocket"),
        (switches(upgrade="websocket, h2c", after=b""), "Upgrade is not websocket"),
        (
            responds(b"HTTP/1.1 101 Hm\r\nUpgrade: websocket\r\nConnection: close\r\n\r\n"),
            "Connection does not contain Upgrade",
        ),
    ],
)
def test_a_handshake_that_a_browser_refuses_fails(server: Handler, detail: str) -> None:
    with serving(server) as port:
        endpoint = Endpoint(f"ws://127.0.0.1:{port}/", subprotocols=("codes.v1", "codes.v2"))
        failed = listener_to(endpoint).fails()
    assert (failed.operation, failed.cause) == ("handshake", "bad handshake answer")
    assert detail in failed.detail


def test_an_unrequested_subprotocol_fails() -> None:
    with serving(switches("Sec-WebSocket-Protocol: codes.v2", after=b"")) as port:
        failed = listener_to(f"ws://127.0.0.1:{port}/").fails()
    assert "'codes.v2' was not offered" in failed.detail


HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n"


@pytest.mark.parametrize(
    "headers",
    [
        (),
        ("Set-Cookie: a:b=c; Expires=never", 'Set-Cookie: "', "Set-Cookie: =; =;;", "Date: x"),
    ],
)
def test_only_the_final_response_counts_and_only_what_is_needed_of_it(headers: list[str]) -> None:
    after = frame(0x81, b"one") + frame(0x88, b"\x03\xe8")
    before = b"HTTP/1.1 100 Continue\r\n\r\n" + HINTS
    with serving(switches(*headers, before=before, after=after)) as port:
        listener = listener_to(f"ws://127.0.0.1:{port}/")
        assert listener.run().cause == "closed by server: 1000"
    assert listener.payloads == [b"one"]


def test_a_second_response_in_the_same_segment_is_not_the_firsts_body() -> None:
    second = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
    first = b"HTTP/1.1 403 No\r\nContent-Length: 8\r\n\r\nnot you."
    with serving(responds(HINTS + first + second, stays=True)) as port:
        failed = listener_to(f"ws://127.0.0.1:{port}/").fails()
    assert (failed.cause, failed.server_text) == ("HTTP 403", "not you.")


REFUSED = b"HTTP/1.1 400 BAD REQUEST\r\n"
TEXT = b'"Not an accepted origin."'


def chunks(data: bytes, size: int) -> Iterator[bytes]:
    for at in range(0, len(data), size):
        piece = data[at : at + size]
        yield b"%x\r\n%s\r\n" % (len(piece), piece)
    yield b"0\r\n\r\n"


@pytest.mark.parametrize(
    ("server", "text"),
    [
        (responds(REFUSED + b"Content-Length: 25\r\n\r\n", TEXT, stays=True), TEXT.decode()),
        (
            responds(REFUSED + b"Transfer-Encoding: chunked\r\n\r\n", *chunks(TEXT, 7), stays=True),
            TEXT.decode(),
        ),
        (responds(REFUSED + b"Connection: close\r\n\r\n", TEXT[:9], TEXT[9:]), TEXT.decode()),
        (responds(REFUSED + b"\r\n" + TEXT), TEXT.decode()),
        (responds(b"HTTP/1.0 400 BAD REQUEST\n\n", TEXT), TEXT.decode()),
        (responds(REFUSED + b"Content-Length: 0\r\n\r\n", stays=True), "BAD REQUEST"),
        (
            responds(
                REFUSED + b"Content-Encoding: gzip\r\nConnection: close\r\n\r\n",
                gzip.compress(TEXT),
            ),
            TEXT.decode(),
        ),
        (responds(REFUSED + b"Content-Encoding: gzip\r\n\r\n" + TEXT), "BAD REQUEST"),
        # Too long, and without an end
        (responds(REFUSED + b"Content-Length: 999999\r\n\r\n" + b"x" * 99_999), "x" * 300),
        (responds(REFUSED + b"\r\n" + TEXT, stays=True), TEXT.decode()),
        (responds(REFUSED + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhelloBAD"), "hello"),
        (
            responds(
                REFUSED + b"\r\n<!doctype html><head><title>No</title><style>p {}</style></head>"
                b"<!-- a note --><h1>Not&nbsp;you</h1>\n<p class='a'>at <i>all</i>"
            ),
            "Not you at all",
        ),
        (
            responds(
                REFUSED + b"\r\n<html lang=en>\n<title>404 No</title>\n<h1>No</h1><p>Not you."
            ),
            "No Not you.",
        ),
        (responds(REFUSED + b"\r\n<html><head><title>Only a title"), "Only a title"),
    ],
    ids=(
        *("length", "chunks", "until close", "in one piece", "HTTP/1.0", "no body"),
        *("compressed", "not as compressed as it says"),
        *("too long", "without an end", "broken chunk", "page", "page without a head"),
        "page with a title alone",
    ),
)
def test_a_refusals_body_is_read_in_any_framing(server: Handler, text: str) -> None:
    with serving(server) as port:
        began = time.monotonic()
        failed = listener_to(f"ws://127.0.0.1:{port}/").fails()
        assert time.monotonic() - began < 3
    assert (failed.operation, failed.cause) == ("handshake", "HTTP 400")
    assert failed.server_text == text


def test_a_refusal_that_trickles_in_blocks_nobody_and_is_cut_off() -> None:
    def server(connection: socket.socket) -> None:
        read_until(connection, b"\r\n\r\n")
        connection.sendall(REFUSED + b"\r\n")
        for _ in range(1000):
            connection.sendall(b"x")
            time.sleep(0.01)

    with serving(server) as port:
        listener = listener_to(f"ws://127.0.0.1:{port}/", Network(connect_timeout=30))
        beats: list[float] = []

        def beat() -> None:
            while True:
                beats.append(time.monotonic())
                gevent.sleep(0.01)

        beating = gevent.spawn(beat)
        failed = listener.fails()
        beating.kill()
    assert set(failed.server_text) == {"x"}
    assert 0.5 < beats[-1] - beats[0] < 5
    assert len(beats) > 20


def test_the_request_follows_the_endpoint() -> None:
    requests: list[Request] = []

    def keep(connection: ServerConnection, request: Request) -> None:
        requests.append(request)

    server = websocket_server(
        lambda _: None, process_request=keep, subprotocols=[Subprotocol("codes.v2")]
    )
    with server as url:
        port = url.split(":")[2].split("/")[0]
        with contextlib.suppress(ConnectFailed):
            listener_to(Endpoint(url)).run()
        headers = (
            ("X-Username", "ann"),
            ("host", "codes.test"),
            ("Origin", "https://codes.test"),
            ("Cookie", "a=1"),
            ("Cookie", "b=2"),
        )
        listener_to(Endpoint(url, headers=headers, subprotocols=("codes.v2",))).run()
    plain, full = requests
    assert plain.headers.get_all("Origin") == []
    assert plain.path == full.path == "/codes?as=x"
    assert plain.headers["Host"] == f"localhost:{port}"
    assert full.headers.get_all("Host") == ["codes.test"]
    assert full.headers.get_all("Origin") == ["https://codes.test"]
    assert full.headers.get_all("Cookie") == ["a=1; b=2"]
    assert full.headers["X-Username"] == "ann"
    assert full.headers["Sec-WebSocket-Protocol"] == "codes.v2"


def test_a_subprotocol_that_the_server_does_not_choose_fails() -> None:
    with websocket_server(lambda _: None, subprotocols=[Subprotocol("codes.v2")]) as url:
        listener = listener_to(Endpoint(url, subprotocols=("codes.v1",)))
        with pytest.raises(ConnectFailed, match=r"HTTP 400|bad handshake answer"):
            listener.transport.connect()


def test_no_user_sends_another_users_cookies() -> None:
    cookies = []

    def server(connection: socket.socket) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += connection.recv(1)
        cookies.append(b"cookie:" in head.lower())
        connection.sendall(
            b"HTTP/1.1 403 No\r\nSet-Cookie: user=ann; Domain=localhost\r\n\r\n"
            if not cookies[:-1]
            else b"HTTP/1.1 302 F\r\nSet-Cookie: user=ann; Domain=localhost\r\n\r\n"
        )

    network = Network()
    with serving(server) as port:
        for _ in range(3):
            with pytest.raises(ConnectFailed):
                listener_to(f"ws://localhost:{port}/", network).transport.connect()
    assert cookies == [False, False, False]


# Compression


def accepting(extensions: str, *frames: bytes) -> Handler:
    """A server that answers a handshake with these extensions, and sends frames."""

    def server(connection: socket.socket) -> None:
        head = accept_websocket(connection)
        for line in extensions.split("\n"):
            head = head.removesuffix(b"\r\n") + f"sec-websocket-Extensions: {line}\r\n\r\n".encode()
        connection.sendall(head + b"".join(frames))
        connection.recv(100)

    return server


@pytest.mark.parametrize("fresh", [False, True], ids=["takeover", "no takeover"])
@pytest.mark.parametrize("bits", [9, 12, 15])
def test_compressed_messages_arrive(fresh: bool, bits: int) -> None:
    factory = ServerPerMessageDeflateFactory(
        server_no_context_takeover=fresh, server_max_window_bits=bits, client_max_window_bits=bits
    )
    texts = [f"{'LT-' * 700}{number}é" for number in range(5)]

    def server(connection: ServerConnection) -> None:
        for text in texts:
            connection.send(text)
        connection.send([text[:30] for text in texts])
        connection.send(b"bytes")
        assert connection.recv() == "uncompressed"

    with websocket_server(server, extensions=[factory]) as url:
        listener = listener_to(url)
        listener.also = lambda payload: (
            listener.transport.send("uncompressed") if payload == b"bytes" else None
        )
        assert listener.run().code == 1000
    together = "".join(text[:30] for text in texts)
    assert listener.payloads == [*(text.encode() for text in texts), together.encode(), b"bytes"]
    assert listener.transport.compression.startswith("permessage-deflate")
    assert ("server_no_context_takeover" in listener.transport.compression) == fresh
    wire, inflated, _ = listener.transport.network.inflation.drain()
    assert inflated == sum(map(len, listener.payloads))
    assert wire < inflated / 10


@pytest.mark.parametrize(
    ("headers", "compression", "offers"),
    [
        ((), True, ["permessage-deflate; client_max_window_bits"]),
        ((), False, []),
        ((("sec-websocket-extensions", "permessage-deflate"),), True, ["permessage-deflate"]),
        ((("Sec-WebSocket-Extensions", "permessage-deflate"),), False, ["permessage-deflate"]),
    ],
)
def test_compression_is_offered_as_by_a_browser(
    headers: tuple[tuple[str, str], ...], compression: bool, offers: list[str]
) -> None:
    requests: list[Request] = []

    def keep(connection: ServerConnection, request: Request) -> None:
        requests.append(request)

    with websocket_server(lambda _: None, process_request=keep) as url:
        network = Network(connect_timeout=5, compression=compression)
        listener_to(Endpoint(url, headers=headers), network).run()
    assert requests[0].headers.get_all("Sec-WebSocket-Extensions") == offers


@pytest.mark.parametrize(
    "extensions",
    [
        "permessage-deflate; mux",
        "permessage-deflate; server_max_window_bits=16",
        "permessage-deflate\npermessage-deflate",
        "x-webkit-deflate-frame",
    ],
)
def test_an_invalid_answer_about_extensions_fails_the_handshake(extensions: str) -> None:
    with serving(accepting(extensions)) as port:
        failed = listener_to(f"ws://127.0.0.1:{port}/").fails()
    assert (failed.operation, failed.cause) == ("handshake", "invalid extensions")
    assert extensions.replace("\n", ", ") in failed.detail


def test_an_extension_that_was_not_offered_fails_the_handshake() -> None:
    with serving(accepting("permessage-deflate")) as port:
        network = Network(connect_timeout=5, compression=False)
        failed = listener_to(f"ws://127.0.0.1:{port}/", network).fails()
    assert failed.cause == "invalid extensions"
    assert "was not offered" in failed.detail


@pytest.mark.parametrize(
    ("data", "code", "cause"),
    [
        (MessageDeflater().frame(bytes(2000), 2), 1009, "inflated message too large"),
        (frame(0xC1, b"\xff"), 1007, "protocol error: bad compressed data"),
    ],
)
def test_a_message_that_cannot_be_inflated_ends_the_session_with_its_close_code(
    data: bytes, code: int, cause: str
) -> None:
    heard = []

    def server(connection: socket.socket) -> None:
        head = accept_websocket(connection).removesuffix(b"\r\n")
        head += b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
        connection.sendall(head + data)
        heard.append(unmask(connection.recv(100)))

    with serving(server) as port:
        listener = listener_to(Endpoint(f"ws://127.0.0.1:{port}/", max_message=1000))
        assert listener.run() == Closed("client", cause)
    assert heard == [(0x88, struct.pack("!H", code))]


# The end


@pytest.mark.parametrize(
    ("data", "code", "malformed"),
    [
        (frame(0xC1, b"x"), 1002, ["reserved bits"]),
        (frame(0x81, b"\xff"), 1007, ["invalid UTF-8"]),
        (frame(0x81, b"x" * 2000), 1009, []),
    ],
)
def test_a_protocol_error_ends_the_session_with_its_close_code(
    data: bytes, code: int, malformed: list[str]
) -> None:
    heard = []

    def server(connection: socket.socket) -> None:
        connection.sendall(accept_websocket(connection) + data)
        heard.append(unmask(connection.recv(100)))

    with serving(server) as port:
        listener = listener_to(Endpoint(f"ws://127.0.0.1:{port}/", max_message=1000))
        closed = listener.run()
    cause = f"protocol error: {malformed[0]}" if malformed else "message too large"
    assert closed == Closed("client", cause)
    assert listener.malformed == malformed
    assert heard == [(0x88, struct.pack("!H", code))]


def test_leaving_sends_a_close_frame() -> None:
    codes = []

    def server(connection: ServerConnection) -> None:
        try:
            connection.recv()
        except ConnectionClosed as closed:
            codes.append(closed.rcvd.code if closed.rcvd else None)

    with websocket_server(server) as url:
        listener = listener_to(url)
        listener.transport.connect()
        gevent.spawn_later(0.05, listener.transport.leave)
        assert listener.transport.listen() == LEFT
        other = listener_to(url)
        other.transport.connect()
        other.transport.leave()
    assert codes == [1000, 1000]


def test_a_killed_listener_sends_a_close_frame() -> None:
    codes = []

    def server(connection: ServerConnection) -> None:
        try:
            connection.recv()
        except ConnectionClosed as closed:
            codes.append(closed.rcvd.code if closed.rcvd else None)

    with websocket_server(server) as url:
        listener = listener_to(url)
        greenlet = gevent.spawn(listener.run)
        while not listener.transport.subscribed_ns:
            gevent.sleep(0.01)
        gevent.sleep(0.05)
        greenlet.kill(timeout=2)
        assert greenlet.dead
    assert codes == [1000]


def test_pings_are_answered_without_waking_a_greenlet() -> None:
    answered = []

    def server(connection: ServerConnection) -> None:
        answered.extend([connection.ping().wait(5) for _ in range(100)])

    with websocket_server(server) as url:
        listener = listener_to(url)
        assert listener.run().code == 1000
    assert answered == [True] * 100
    assert listener.messages == []


PATCHED = """
import gevent.monkey
gevent.monkey.patch_all()
import sys
import gevent
from sseload_users.transports.transport import Transport
from sseload_users.transports.endpoint import Endpoint
from sseload_users.transports.network import Network
from sseload_users.transports.websocket import WebSocketTransport

shared = Network(ca_file=sys.argv[2])
received = []

def one(url):
    transport: Transport = WebSocketTransport(
        Endpoint(url), shared, lambda message, _: received.append(message), print
    )
    transport.connect()
    return transport.listen()

people = [gevent.spawn(one, sys.argv[1]) for _ in range(20)]
gevent.joinall(people, raise_error=True)
print(len(received), {one.value.cause for one in people})
"""


@pytest.mark.parametrize("tls", [False, True])
def test_it_works_after_gevents_monkey_patching(tls: bool) -> None:
    def server(connection: socket.socket) -> None:
        head = accept_websocket(connection)
        for data in (head, frame(0x81, b"one") + frame(0x01, b"tw"), frame(0x80, b"o")):
            connection.sendall(data)
            time.sleep(0.01)
        connection.sendall(frame(0x89, b"still there?"))
        assert unmask(connection.recv(100)) == (0x8A, b"still there?")
        connection.sendall(frame(0x88, b"\x03\xe8"))
        connection.recv(100)

    with serving(server, certificate="server.pem" if tls else None) as port:
        url = f"ws{'s' if tls else ''}://localhost:{port}/"
        done = subprocess.run(
            [sys.executable, "-c", PATCHED, url, str(CERTIFICATES / "ca.pem")],
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
    assert done.stdout.strip() == "40 {'closed by server: 1000'}", done.stderr
