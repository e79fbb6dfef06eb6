from __future__ import annotations

import pytest
from locust import events
from locust.argument_parser import LocustArgumentParser

from sseload_users import options


@pytest.fixture(autouse=True)
def _command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def add(parser: LocustArgumentParser, **_: object) -> None:
        options.add_to(parser)
        # Of another plugin.
        parser.add_argument("--pace", type=float, default=1.5, help="100 %% is everything")

    # Locust's form shows what it was called with.
    monkeypatch.setattr("sys.argv", ["locust"])
    monkeypatch.setattr(events.init_command_line_parser, "_handlers", [add])
