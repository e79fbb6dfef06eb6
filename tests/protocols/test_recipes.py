"""The recipes in docs/recipes/: each server, and the profile for it."""

from __future__ import annotations

import contextlib
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import ClassVar

import pytest

from tests.protocols.contract import ProtocolContract, Recovery, Served, Wrong
from tests.protocols.node import node_client, node_server
from tests.support.npm import npm_version, require_npm_packages
from tests.support.ports import free_port
from tests.support.programs import PATIENCE, program
from tests.support.runs import ROOT

RECIPES = ROOT / "docs" / "recipes"
PROFILES = sorted(RECIPES.glob("*.toml"))


@contextlib.contextmanager
def recipe(file: str) -> Iterator[Served]:
    """Run a recipe's server."""
    if file.endswith(".js"):
        require_npm_packages()
    port = free_port()
    command = ["node"] if file.endswith(".js") else [sys.executable]
    with program([*command, str(RECIPES / file), str(port)]) as running:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
            except OSError:
                assert time.monotonic() < deadline, running.stderr
                time.sleep(0.02)
            else:
                break
        yield Served(f"http://127.0.0.1:{port}")


class Recipe(ProtocolContract):
    """A server with rooms; the token comes with the handshake."""

    file: ClassVar[str]
    channels = ()
    wrong: ClassVar = {
        "token": Wrong("HTTP 403", options=("--value", "token=guessed")),
        "room": Wrong(
            "refused: this room is closed", changes=(('channel = "codes"', 'channel = "closed"'),)
        ),
        "path": Wrong("HTTP 404", changes=(('path = "/ws/', 'path = "/nosuch/'),)),
    }

    @classmethod
    def serve(cls, folder: Path) -> contextlib.AbstractContextManager[Served]:
        """Run the recipe's server."""
        return recipe(cls.file)


class TestFastAPI(Recipe):
    """FastAPI on uvicorn."""

    profile = "docs/recipes/fastapi.toml"
    server = f"FastAPI {version('fastapi')}, uvicorn {version('uvicorn')}"
    file = "fastapi_app.py"
    # Starlette answers a WebSocket without a route like a refused one.
    wrong: ClassVar = {
        **Recipe.wrong,
        "path": Wrong("HTTP 403", changes=(('path = "/ws/', 'path = "/nosuch/'),)),
    }


class TestDjangoChannels(Recipe):
    """Django Channels on uvicorn."""

    profile = "docs/recipes/channels.toml"
    server = f"Django Channels {version('channels')}, uvicorn {version('uvicorn')}"
    file = "channels_app.py"
    # URLRouter raises an exception.
    wrong: ClassVar = {
        **Recipe.wrong,
        "path": Wrong("HTTP 500", changes=(('path = "/ws/', 'path = "/nosuch/'),)),
    }


class TestTornado(Recipe):
    """Tornado."""

    profile = "docs/recipes/tornado.toml"
    server = f"Tornado {version('tornado')}"
    file = "tornado_app.py"


class TestAiohttp(Recipe):
    """Server-sent events of aiohttp, with IDs."""

    profile = "docs/recipes/aiohttp.toml"
    server = f"aiohttp {version('aiohttp')}"
    file = "aiohttp_app.py"
    recovery = Recovery()
    wrong: ClassVar = {
        "token": Wrong("invalid token", options=("--value", "token=guessed")),
        "room": Wrong(
            "this room is closed", changes=(('channel = "codes"', 'channel = "closed"'),)
        ),
        "path": Wrong("HTTP 404", changes=(('/events"', '/nosuch"'),)),
    }


class TestWs(Recipe):
    """The package ws on Node."""

    profile = "docs/recipes/ws.toml"
    server = f"ws {npm_version('ws')}"
    file = "ws_app.js"


class TestSpring(ProtocolContract):
    """STOMP over SockJS as Spring's simple broker speaks it: without receipts."""

    profile = "docs/recipes/spring.toml"
    server = f"sockjs-node {npm_version('sockjs')} with a simple broker of the tests"
    client = f"stompjs {npm_version('@stomp/stompjs')}"
    channels = ()
    wrong: ClassVar = {
        "passcode": Wrong(
            "ended by server: Access refused for this user.",
            changes=(("passcode:guest", "passcode:guessed"),),
        ),
        "path": Wrong("HTTP 404", changes=(("/{nonce}/websocket", "/{nonce}/nosuch"),)),
    }

    @classmethod
    def serve(cls, folder: Path) -> contextlib.AbstractContextManager[Served]:
        """Run a broker that confirms no subscription."""
        # A loss before a subscription is sure to have its effect would be nobody's.
        return node_server("sockjs.js", "simple", options=("--settle", "1.1"))

    @classmethod
    def complete(cls, served: Served, connections: int, codes: int) -> Mapping[str, int]:
        """Play the scenario by stompjs over sockjs-client."""
        return node_client("stomp.js", served, connections, codes, simple=True)


@pytest.mark.parametrize("profile", PROFILES, ids=lambda path: path.stem)
def test_a_page_describes_each_recipe(profile: Path) -> None:
    page = profile.with_suffix(".md").read_text("utf-8")
    assert f"({profile.name})" in page
    assert f"({profile.stem}.md)" in (RECIPES / "README.md").read_text("utf-8")
