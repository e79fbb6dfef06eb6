"""Mercure on a test server, with EventSource in Chromium and Symfony's library for publishing."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import pytest

from tests.protocols.contract import (
    Changes,
    ProtocolContract,
    Recovery,
    Served,
    Wrong,
    assert_all_delivered,
    assert_equal,
)
from tests.protocols.node import node_server
from tests.protocols.tokens import web_token
from tests.support.browser import browser, tab

_SECRET = "hub-secret"
_SUBSCRIBER = web_token(_SECRET, mercure={"subscribe": ["codes"]})
_PUBLISHER = web_token(_SECRET, mercure={"publish": ["*"]})
_LIBRARY = Path("/usr/share/php/Symfony/Component/Mercure")
_PATH = "/.well-known/mercure"
_PRIVATE: Changes = (("padding}\"}' }", 'padding}"}\', "private" = "on" }'),)
#: Most streams of one page: a browser has six connections to a server.
_STREAMS = 5
_OPEN = """([path, streams]) => {
    window.received = [];
    const opened = Array.from({ length: streams }, () => new Promise((resolve, reject) => {
        const source = new EventSource(path);
        source.onopen = resolve;
        source.onerror = reject;
        source.onmessage = ({ data }) => window.received.push(JSON.parse(data).code);
    }));
    return Promise.all(opened).then(() => opened.length);
}"""


def _version() -> str:
    """Return the version of Symfony's library, as Debian has it."""
    found = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Version}", "php-symfony-mercure"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return re.sub("-.*", "", found.stdout)


def _published_with(token: str) -> Wrong:
    return Wrong("Unauthorized", changes=(("Bearer {publisher_token}", f"Bearer {token}"),))


class TestMercure(ProtocolContract):
    """A hub with a history, tokens for both sides, and private updates."""

    profile = "mercure"
    server = "test server"
    client = f"EventSource in Chromium, symfony/mercure {_version()}"
    users = f"username,token,publisher_token\nann,{_SUBSCRIBER},{_PUBLISHER}\n"
    channels: ClassVar[Changes] = ()
    recovery = Recovery()
    wrong: ClassVar = {
        "no token": Wrong(
            "Unauthorized", changes=(('headers = { "Authorization" = "Bearer {token}" }', ""),)
        ),
        "token of another hub": Wrong(
            "Unauthorized",
            changes=(("Bearer {token}", f"Bearer {web_token('other', mercure={})}"),),
        ),
        "publisher": _published_with(_SUBSCRIBER),
        "publisher of another topic": _published_with(
            web_token(_SECRET, mercure={"publish": ["other"]})
        ),
        "topic": Wrong(
            'Missing "topic" parameter', changes=(('query = { "topic" = "{channel}" }', ""),)
        ),
        "path": Wrong("HTTP 404", path="/no-such"),
    }

    @classmethod
    def serve(cls, folder: Path) -> contextlib.AbstractContextManager[Served]:
        """Run the hub."""
        return node_server("mercure.js")

    @classmethod
    def complete(cls, served: Served, connections: int, codes: int) -> Mapping[str, int]:
        """Play the scenario by EventSource in Chromium, and by Symfony's library."""
        if shutil.which("php") is None or not _LIBRARY.exists():
            assert os.environ.get("CI") != "true", "php-symfony-mercure is missing"
            pytest.skip("php-cli and php-symfony-mercure are not installed")
        path = f"{_PATH}?topic=codes&authorization={_SUBSCRIBER}"
        texts = [f"LT-client-{number}-{number:x}" for number in range(1, codes + 1)]
        with browser() as started, contextlib.ExitStack() as stack:
            pages = []
            for _ in range(connections // _STREAMS):
                page, complaints = stack.enter_context(tab(started))
                page.goto(f"{served.url}/page")
                assert page.evaluate(_OPEN, [path, _STREAMS]) == _STREAMS, complaints
                pages.append(page)
            script = Path(__file__).parent / "clients" / "mercure.php"
            subprocess.run(
                ["php", str(script), served.url + _PATH, _PUBLISHER, "codes", *texts],
                check=True, timeout=30,
            )  # fmt: skip
            received: Counter[str] = Counter()
            for page in pages:
                page.wait_for_function(f"window.received.length >= {_STREAMS * codes}")
                received.update(json.loads(page.evaluate("JSON.stringify(window.received)")))
        return received

    def test_private(self, served: Served, tmp_path: Path) -> None:
        """Private updates reach those whose token allows the topic, and nobody else."""
        connections, codes = 10, 5
        outcome, sent = self._count(served, tmp_path, connections, codes, changes=_PRIVATE)
        assert_all_delivered(outcome, connections, codes)
        assert_equal(outcome, sent)
        stranger = web_token(_SECRET, mercure={"subscribe": ["other"]})
        outcome, sent = self._count(
            served, tmp_path / "stranger", connections, codes,
            changes=(*_PRIVATE, ("Bearer {token}", f"Bearer {stranger}")),
        )  # fmt: skip
        assert outcome.report["deliveries"]["missing"] == connections * codes
        assert not sent
