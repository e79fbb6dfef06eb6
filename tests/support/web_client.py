"""The web UI without a server: what it knows of runs is given, and a client asks it."""

from __future__ import annotations

import argparse
import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from flask.testing import FlaskClient
from locust import User, task
from locust.argument_parser import get_parser
from locust.env import Environment
from locust.web import WebUI

from sseload_users.core.vitals import ServerVitals
from sseload_users.report.account import Run
from sseload_users.report.live import Live
from sseload_users.report.model import Report
from sseload_users.report.snapshot import Snapshot
from sseload_users.run.given_options import GivenOptions
from sseload_users.run.next_run import NextRun
from sseload_users.run.thresholds_file import load_thresholds
from sseload_users.users.classes import UserClasses
from sseload_users.verdict.reasons import StepReport
from sseload_users.verdict.thresholds import Thresholds
from sseload_users.web import routes as web
from sseload_users.web.views import Views


class Conducted:
    """A run that is going on."""

    def __init__(self, live: Live) -> None:
        self.totals = live.totals
        self.doing = live.doing
        self._live = live

    def so_far(self) -> Run:
        return self._live.run

    def snapshot(self) -> Snapshot:
        return self._live.now

    def step_reports(self) -> list[StepReport]:
        return []


@dataclass
class Led:
    """What a `Leader` knows."""

    live_run: Conducted | None = None
    report: Report | None = None
    thresholds: Thresholds = field(default_factory=load_thresholds)
    trouble: str = ""
    vitals: ServerVitals | None = None


class Idle(User):
    @task
    def rest(self) -> None:
        """Nothing."""


def ui(
    led: Led,
    *,
    base: str | None = None,
    login: bool = False,
    kept_in: str = "",
    classes: Sequence[type[User]] = (),
) -> WebUI:
    environment = Environment(user_classes=[*classes] or [Idle])
    environment.create_local_runner()
    made = WebUI(
        environment, "127.0.0.1", 0, web_base_path=base, web_login=login, delayed_start=True
    )
    assert made.app is not None
    made.app.secret_key = "a test's"
    attach(made, Views(led, kept_in))
    return made


@cache
def _parsed() -> argparse.Namespace:
    """Locust's options as they are by default; parsing takes long."""
    parsed: argparse.Namespace = get_parser().parse_args([])
    return parsed


def attach(made: WebUI, views: Views) -> None:
    environment = made.environment
    environment.parsed_options = copy.deepcopy(_parsed())
    users = UserClasses.of(environment)
    web.attach(made, views, NextRun(environment, users, GivenOptions(environment), is_local=True))


def client(led: Led, **how: Any) -> FlaskClient:
    app = ui(led, **how).app
    assert app is not None
    return app.test_client()
