"""nginx with nchan: a third-party server in C, for the tests and the bench.

It runs as a child, from a temporary folder, on free ports of the loopback. Publish with
``POST /pub?id=CHANNEL``; subscribe at ``/sub?id=CHANNEL`` by WebSocket or server-sent
events, plain or TLS, or at ``/sub-oldest`` to get the newest 100 messages of before as well.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import resource
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_MODULE = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")
_CERTIFICATE = Path(__file__).parent.parent / "certificates" / "server.pem"
_ADDRESS = "127.0.0.1"
#: Seconds in which nginx starts, and ends; it takes a fraction of one.
_PATIENCE = 10.0
#: Files that nginx opens beside these connections: who publishes, logs, its own pipes.
_FURTHER_FILES = 64

_CONFIGURATION = """\
load_module {module};
{user}
daemon off;
worker_processes 1;
{affinity}
worker_rlimit_nofile {files};
pid nginx.pid;
error_log error.log warn;
events {{
    worker_connections {files};
}}
http {{
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    keepalive_timeout 600s;
    keepalive_requests 1000000;
    nchan_use_redis off;
    nchan_shared_memory_size 256M;
    nchan_message_buffer_length 100;
    nchan_message_timeout 60s;
    server {{
        listen {address}:{port} backlog=4096;
        listen {address}:{tls_port} ssl backlog=4096;
        ssl_certificate {certificate};
        ssl_certificate_key {certificate};
        ssl_protocols TLSv1.2 TLSv1.3;
        location = /pub {{
            nchan_publisher;
            nchan_channel_id $arg_id;
        }}
        location = /sub {{
            nchan_subscriber websocket eventsource;
            nchan_subscriber_first_message newest;
            nchan_channel_id $arg_id;
        }}
        location = /sub-oldest {{
            nchan_subscriber websocket eventsource;
            nchan_subscriber_first_message oldest;
            nchan_channel_id $arg_id;
        }}
    }}
}}
"""


@dataclass(frozen=True, slots=True)
class Nchan:
    """A running nginx with nchan.

    Attributes:
        port: the plain port.
        tls_port: the TLS port; its certificate is for localhost and 127.0.0.1, by the
            authority in ``tests/certificates/ca.pem``.
        pid: nginx's master process; it has one worker.
        folder: its configuration and logs, until it ends.
    """

    port: int
    tls_port: int
    pid: int
    folder: Path

    def origin(self, *, tls: bool = False) -> str:
        """The server's URL for HTTP."""
        scheme, port = ("https", self.tls_port) if tls else ("http", self.port)
        return f"{scheme}://{_ADDRESS}:{port}"

    def subscriber(self, channel: str, *, tls: bool = False) -> str:
        """The URL at which a channel is subscribed by WebSocket."""
        return f"ws{self.origin(tls=tls).removeprefix('http')}/sub?id={channel}"


class Publisher:
    """Publish to a server over one persistent connection.

    Raises:
        OSError: the server is gone, or does not answer within five seconds.
    """

    def __init__(self, server: Nchan) -> None:
        self._connection = http.client.HTTPConnection(_ADDRESS, server.port, timeout=5)

    def publish(self, channel: str, body: str) -> None:
        """Send one message to all who subscribe the channel now."""
        self._connection.request("POST", f"/pub?id={channel}", body)
        answer = self._connection.getresponse()
        text = answer.read().decode(errors="replace")
        # 201: with subscribers; 202: without.
        if answer.status not in (201, 202):
            raise OSError(f"publishing was answered with HTTP {answer.status}: {text[:200]}")

    def subscribers(self, channel: str) -> int:
        """How many subscribe the channel now."""
        self._connection.request("GET", f"/pub?id={channel}", headers={"Accept": "text/json"})
        answer = self._connection.getresponse()
        text = answer.read()
        return int(json.loads(text)["subscribers"]) if answer.status == 200 else 0

    def close(self) -> None:
        """Let go of the connection."""
        self._connection.close()


def missing() -> str | None:
    """Return why the server cannot be started on this machine; None if it can."""
    if _nginx() is None:
        return "nginx is not installed (Debian: apt-get install nginx)"
    if not _MODULE.exists():
        return "nginx has no nchan (Debian: apt-get install libnginx-mod-nchan)"
    return None


@contextlib.contextmanager
def nchan(*, connections: int = 1000, core: int | None = None) -> Iterator[Nchan]:
    """Run nginx with nchan, and stop it on exit.

    Args:
        connections: how many connections it must be able to hold.
        core: the only CPU core that its worker may use.

    Raises:
        RuntimeError: it is not installed, or did not start; what it said.
    """
    if (reason := missing()) is not None:
        raise RuntimeError(reason)
    with tempfile.TemporaryDirectory(prefix="nchan-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        # nginx closes idle connections when fewer than a sixteenth of its slots are free.
        room = (connections + _FURTHER_FILES) * 8 // 7
        process, ports = _start(folder, room, core)
        try:
            yield Nchan(*ports, process.pid, folder)
        finally:
            _end(process)


def _nginx() -> str | None:
    # On Debian it is only on root's PATH.
    return shutil.which("nginx", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")


def _start(
    folder: Path, files: int, core: int | None
) -> tuple[subprocess.Popen[bytes], tuple[int, int]]:
    # Another process may take a port before nginx binds it.
    said = ""
    for _ in range(3):
        ports = _free_ports()
        _configure(folder, files, core, ports)
        process = subprocess.Popen(
            [str(_nginx()), "-p", f"{folder}/", "-e", "error.log", "-c", "nginx.conf"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is handled by the parent
        )
        try:
            if _answers(process, ports):
                return process, ports
        except BaseException:
            _end(process)
            raise
        _end(process)
        with contextlib.suppress(OSError):
            said = (folder / "error.log").read_text(errors="replace")[-500:]
    raise RuntimeError(f"nginx did not start: {said}")


def _configure(folder: Path, files: int, core: int | None, ports: tuple[int, int]) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    root = os.geteuid() == 0  # only root can raise the limit
    text = _CONFIGURATION.format(
        module=_MODULE,
        user="user root;" if root else "",
        affinity="" if core is None else f"worker_cpu_affinity {1 << core:b};",
        files=files if root or hard == resource.RLIM_INFINITY else min(files, hard),
        address=_ADDRESS,
        port=ports[0],
        tls_port=ports[1],
        certificate=_CERTIFICATE,
    )
    (folder / "nginx.conf").write_text(text)


def _free_ports() -> tuple[int, int]:
    with socket.create_server((_ADDRESS, 0)) as one, socket.create_server((_ADDRESS, 0)) as two:
        return one.getsockname()[1], two.getsockname()[1]


def _answers(process: subprocess.Popen[bytes], ports: tuple[int, int]) -> bool:
    """Whether all ports accept connections in time."""
    end = time.monotonic() + _PATIENCE
    waiting = list(ports)
    while waiting and process.poll() is None and time.monotonic() < end:
        try:
            socket.create_connection((_ADDRESS, waiting[0]), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            waiting.pop(0)
    return not waiting


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        # Only the worker shares the master's session.
        os.killpg(process.pid, 9)
        process.wait(_PATIENCE)
