"""TLS over stamped sockets."""

from __future__ import annotations

import ctypes
import socket
import ssl
import threading

import gevent
import gevent.event
import gevent.socket
import pytest

from sseload_users.transports import ConnectFailed
from sseload_users.transports.causes import cause_of
from sseload_users.transports.client_certificate import ClientCertificate
from sseload_users.transports.network import Network
from tests.support.socket_servers import CERTIFICATES, serving
from tests.support.sockets import CA, Watched, open_to


def echo(connection: socket.socket) -> None:
    while data := connection.recv(65536):
        connection.sendall(data)


def test_tls_carries_any_amount_both_ways() -> None:
    shared = Network(ca_file=CA)
    with serving(echo, certificate="server.pem") as port:
        connection = open_to(shared, port, "wss")
        data = bytes(range(256)) * 1200
        sending = gevent.spawn(connection.sendall, data)
        received = b""
        while len(received) < len(data):
            received += connection.recv(100_000)
        sending.get()
        assert received == data
        # Records that arrived together are handed over together.
        watched = Watched(connection)
        for part in (data[:20_000], data[20_000:60_000]):
            assert connection.send_now(part)
        while len(watched.data) < 60_000:
            gevent.sleep(0.01)
        assert watched.data == data[:60_000]
        connection.close()


def test_tls_reports_the_end_of_the_stream() -> None:
    shared = Network(ca_file=CA)

    def goodbye(connection: socket.socket) -> None:
        connection.sendall(b"bye")
        assert isinstance(connection, ssl.SSLSocket)
        connection.unwrap()

    with serving(goodbye, certificate="server.pem") as port:
        connection = open_to(shared, port, "wss")
        watched = Watched(connection)
        assert watched.ended.get() is None
        assert watched.data == b"bye"
        connection.close()


class _MallocInfo(ctypes.Structure):
    """glibc's ``struct mallinfo2`` (mallinfo(3))."""

    _fields_ = (
        *((f"other{number}", ctypes.c_size_t) for number in range(7)),
        ("used", ctypes.c_size_t),
        *((f"other{number}", ctypes.c_size_t) for number in range(7, 9)),
    )


def test_a_connection_that_only_receives_keeps_no_buffer_for_writing() -> None:
    mallinfo = getattr(ctypes.CDLL(None), "mallinfo2", None)
    if mallinfo is None:
        pytest.skip("this C library does not say how much memory is in use")
    mallinfo.restype = _MallocInfo
    release = threading.Event()

    def server(connection: socket.socket) -> None:
        connection.sendall(b"hello")  # after two session tickets
        release.wait(5)

    with serving(server, certificate="server.pem") as port:
        connection = open_to(Network(ca_file=CA), port, "wss")
        assert connection.recv(5) == b"hello"
        watched = Watched(connection)
        before = mallinfo().used
        assert connection.send_now(b"x")
        # A write would release the buffer, which has room for one record.
        assert before - mallinfo().used < 8192
        release.set()
        watched.ended.get()
        connection.close()


@pytest.mark.parametrize(
    ("certificate", "cause"),
    [
        ("server.pem", "certificate not trusted"),
        ("elsewhere.pem", "certificate for another host"),
        ("expired.pem", "certificate expired"),
        (None, "wrong version number"),
    ],
)
def test_a_tls_failure_has_a_short_cause(certificate: str | None, cause: str) -> None:
    trusting = certificate != "server.pem"

    def plain(connection: socket.socket) -> None:
        connection.recv(1000)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with serving(echo if certificate else plain, certificate=certificate) as port:
        shared = Network(ca_file=CA if trusting else None)
        with pytest.raises(ConnectFailed) as failed:
            open_to(shared, port, "wss")
        assert (failed.value.operation, failed.value.cause) == ("tls", cause)
        if certificate:
            connection = open_to(Network(insecure=True), port, "wss")
            connection.sendall(b"x")
            assert connection.recv(1) == b"x"
            connection.close()


def test_a_client_certificate_is_presented() -> None:
    names = []

    def who(connection: socket.socket) -> None:
        assert isinstance(connection, ssl.SSLSocket)
        names.append(connection.getpeercert())
        echo(connection)

    with serving(who, certificate="server.pem", client_ca="ca.pem") as port:
        shown = Network(
            ca_file=CA, client_certificate=ClientCertificate(str(CERTIFICATES / "client.pem"))
        )
        connection = open_to(shown, port, "wss")
        connection.sendall(b"x")
        assert connection.recv(1) == b"x"
        connection.close()
        connection = open_to(Network(ca_file=CA), port, "wss")
        # With TLS 1.3 the refusal arrives after the client's handshake.
        with pytest.raises(ssl.SSLError) as refused:
            connection.recv(1)
        assert cause_of(refused.value) == "TLS: tlsv13 alert certificate required"
        connection.close()
    assert names[0] is not None
    assert names[0]["subject"] == ((("commonName", "listener"),),)


def test_a_key_with_a_passphrase_never_asks_for_it() -> None:
    locked = str(CERTIFICATES / "client-locked.pem")
    with serving(echo, certificate="server.pem", client_ca="ca.pem") as port:
        shown = Network(ca_file=CA, client_certificate=ClientCertificate(locked, None, "locked"))
        connection = open_to(shown, port, "wss")
        connection.sendall(b"x")
        assert connection.recv(1) == b"x"
        connection.close()
    sentence = r"^client key '.*' has a passphrase; give it .* SSELOAD_CLIENT_KEY_PASSWORD "
    with pytest.raises(ValueError, match=sentence):
        _ = Network(client_certificate=ClientCertificate(locked)).ssl_context
    for wrong in ("wrong", "x" * 5000):
        with pytest.raises(ValueError, match=r"cannot be used: .* and the key's passphrase$"):
            _ = Network(client_certificate=ClientCertificate(locked, None, wrong)).ssl_context


@pytest.mark.parametrize("resume", [True, False])
def test_tls_sessions_are_resumed_only_on_request(resume: bool) -> None:
    reused = []

    def server(connection: socket.socket) -> None:
        assert isinstance(connection, ssl.SSLSocket)
        reused.append(connection.session_reused)
        echo(connection)

    shared = Network(ca_file=CA, resume_tls=resume)
    with serving(server, certificate="server.pem") as port:
        for _ in range(3):
            connection = open_to(shared, port, "wss")
            connection.sendall(b"x")
            assert connection.recv(1) == b"x"
            shared.keep_tls_session(f"wss://localhost:{port}/", connection)
            connection.close()
    assert reused == [False, resume, resume]


def test_unusable_certificate_files_are_reported_in_one_sentence() -> None:
    with pytest.raises(ValueError, match=r"CA file '/nosuch' cannot be used: .*; give a PEM"):
        _ = Network(ca_file="/nosuch").ssl_context
    with pytest.raises(ValueError, match=r"client certificate '.*' cannot be used: "):
        _ = Network(ca_file=CA, client_certificate=ClientCertificate(CA)).ssl_context
