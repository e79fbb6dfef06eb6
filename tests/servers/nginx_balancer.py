"""nginx in front of servers, as a balancer with and without sticky sessions, or as a proxy."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import pytest

from tests.support.ports import free_port

#: How a client is kept at one node: not at all, by a cookie, or by its address.
Sticky = Literal["no", "cookie", "address"]

_CONFIGURATION = """\
{user}
daemon off;
worker_processes 1;
pid nginx.pid;
error_log error.log error;
events {{ worker_connections 1000; }}
http {{
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    upstream any {{ {hash} {servers} }}
    {upstreams}
    map $cookie_node $node {{ default any; {nodes} }}
    map $upstream_addr $name {{ {names} }}
    map $http_upgrade $connection_upgrade {{ default upgrade; '' close; }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://{target};
            proxy_http_version {http};
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
            proxy_set_header Host $host;
            {cookie}
            {directives}
        }}
    }}
}}
"""
_COOKIE = 'add_header Set-Cookie "node=$name; Path=/; HttpOnly" always;'


@contextlib.contextmanager
def balancer(
    ports: Sequence[int], sticky: Sticky = "no", *, http: str = "1.1", directives: str = ""
) -> Iterator[str]:
    """Run nginx in front of servers on the loopback; yield its URL; skip the test without nginx.

    Args:
        ports: of the servers.
        sticky: see `Sticky`.
        http: version of HTTP between nginx and the servers.
        directives: further ones, for what is behind it.
    """
    if shutil.which("nginx") is None:
        assert os.environ.get("CI") != "true", "nginx is not installed"
        pytest.skip("nginx is not installed")
    port = free_port()
    addresses = {f"n{index}": f"127.0.0.1:{each}" for index, each in enumerate(ports)}
    text = _CONFIGURATION.format(
        user="user root;" if os.geteuid() == 0 else "",
        port=port,
        hash="ip_hash;" if sticky == "address" else "",
        servers=" ".join(f"server {each};" for each in addresses.values()),
        upstreams=" ".join(
            f"upstream {name} {{ server {each}; }}" for name, each in addresses.items()
        ),
        nodes=" ".join(f"{name} {name};" for name in addresses),
        names=" ".join(f"{each} {name};" for name, each in addresses.items()),
        target="$node" if sticky == "cookie" else "any",
        cookie=_COOKIE if sticky == "cookie" else "",
        http=http,
        directives=directives,
    )
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "nginx.conf").write_text(text)
        child = subprocess.Popen(
            ["nginx", "-p", folder, "-c", "nginx.conf", "-e", "error.log"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            deadline = time.monotonic() + 10
            while not Path(folder, "nginx.pid").exists() and time.monotonic() < deadline:
                time.sleep(0.01)
            yield f"http://127.0.0.1:{port}"
        finally:
            child.terminate()
            child.wait(10)
