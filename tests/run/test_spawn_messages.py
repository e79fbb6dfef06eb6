"""A worker takes a spawn message at a cost that does not grow with the number of options."""

from __future__ import annotations

import argparse
from typing import Any
from unittest import mock

import pytest
from locust import argument_parser
from locust.rpc import Message
from locust.runners import WorkerRunner

from sseload_users.run import spawn_messages


def taken(options: dict[str, Any]) -> tuple[argparse.Namespace, int]:
    """A worker's options after spawn messages with these, and how many parsers were made."""
    runner = mock.MagicMock(last_received_spawn_timestamp=0, worker_state="spawning")
    runner.environment.parsed_options = argparse.Namespace()
    job = {"host": "http://a", "stop_timeout": 0, "parsed_options": options,
           "user_classes_count": {}}  # fmt: skip
    make = argument_parser.get_empty_argument_parser
    with mock.patch.object(argument_parser, "get_empty_argument_parser", side_effect=make) as made:
        for at in (1, 2):
            message = Message("spawn", {**job, "timestamp": at}, "w")
            WorkerRunner.handle_message(runner, message)
    return runner.environment.parsed_options, made.call_count


def test_locusts_own_options_are_told_apart_only_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(argument_parser, "default_args_dict", argument_parser.default_args_dict)
    options = {"connections": 9, "num_users": 4, "tags": ["a"], "settle": 0.5}
    before, dear = taken(options)
    spawn_messages.cheapen()
    after, cheap = taken(options)
    assert before == after == argparse.Namespace(connections=9, settle=0.5, tags=["a"])
    assert dear > 1, "Locust does so by itself now"
    assert cheap == 1
