"""Servers and official clients on Node, as `servers/` and `clients/` have them."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping

from tests.protocols.contract import Served
from tests.support.npm import FOLDER, require_npm_packages
from tests.support.programs import program, result_of


@contextlib.contextmanager
def node_server(script: str, *arguments: str, options: tuple[str, ...] = ()) -> Iterator[Served]:
    """Run a server; skip the test if Node or the packages are not installed.

    Args:
        script: in `servers/`; it writes its port and counts what it sends, see `common.js`.
        *arguments: of the script.
        options: of sseload, for this server.
    """
    require_npm_packages()
    with program(["node", str(FOLDER / "servers" / script), *arguments]) as running:
        yield Served(f"http://127.0.0.1:{running.line()}", options, running.sent)


def node_client(
    script: str, served: Served, connections: int, codes: int, **given: object
) -> Mapping[str, int]:
    """Play the scenario by an official client; return copies received, by code.

    Args:
        script: in `clients/`, see `common.js`.
        served: the server.
        connections: number of clients.
        codes: number of codes.
        **given: what the protocol's client needs beside.
    """
    words = {"url": served.url, "connections": connections, "codes": codes, **given}
    return result_of(["node", str(FOLDER / "clients" / script), json.dumps(words)])
