"""The facts about a run that its report states, and its plan."""

from __future__ import annotations

import platform
from importlib import metadata
from typing import Any

from locust.env import Environment

from sseload_users.core.clock import wall_ns
from sseload_users.core.errors import ConfigError
from sseload_users.core.objective import DEFAULT as DEFAULT_OBJECTIVE
from sseload_users.core.objective import Objective
from sseload_users.core.plan import Ladder, RunPlan, SingleStep
from sseload_users.core.schedule import Schedule
from sseload_users.core.search import Search
from sseload_users.core.version import VERSION
from sseload_users.options import Options
from sseload_users.report.account import Run
from sseload_users.run.limits import fitting
from sseload_users.run.resources import Resources

#: Packages whose versions the report states beside sseload's own.
_DISTRIBUTIONS = ("locust", "gevent", "wsproto")
#: Options of Locust that the report states.
_LOCUST_OPTIONS = ("spawn_rate", "run_time", "processes", "stop_timeout")


def run_facts(run_id: str, resources: Resources, environment: Environment) -> Run:
    """Return the facts about a run that begins now.

    Args:
        run_id: its identity.
        resources: its resources.
        environment: Locust's environment.
    """
    options, target = resources.options, resources.target
    run = Run(
        run_id=run_id,
        started_ns=wall_ns(),
        target=target.host,
        transport=target.profile.transport,
        ingest=_way_in(environment) or target.public()["ingest"],
        options={**options.public(), **_locust_options(environment)},
        versions=_versions(),
        guarantee=target.profile.spec.guarantee,
        advise=target.profile.advice,
    )
    if options.insecure:
        run.notes.append("Any server certificate was accepted (--insecure).")
    if options.no_compression:
        run.notes.append(
            "No compression was offered (--no-compression); browsers offer it, so the server had "
            "less to do and sent more bytes than it does for them."
        )
    return run


def check_way_in(options: Options, environment: Environment) -> None:
    """Check that the options fit how codes are handed in.

    Raises:
        ConfigError: payloads are to be padded that a user class makes itself.
    """
    way = _way_in(environment)
    if options.payload_bytes and way:
        raise ConfigError(
            f"--payload-bytes does not apply to codes that are handed in by {way}: pad them there."
        )


def run_plan(options: Options, *, connections: int, local: bool, sockets: int = 1) -> RunPlan:
    """Return the plan that the options describe.

    Args:
        options: the run's options.
        connections: number of connections that Locust should have.
        local: whether this process holds all of them, so that its file limit applies.
        sockets: most sockets that one of them has open at once.
    """
    schedule = Schedule.spread(options.all_codes, options.duration_s)
    if options.ladder:
        return Ladder(options.ladder, schedule)
    if not options.search:
        return SingleStep(schedule)
    over_rate = options.search == "rate"
    most = options.search_most
    if local and not over_rate:
        most = fitting(most, sockets)
    rate = round(1 / schedule.interval_s) if schedule.interval_s else 1
    return Search(
        Objective.parse(options.objective or DEFAULT_OBJECTIVE),
        options.search,
        start=max(1, rate) if over_rate else connections,
        max_size=most,
        codes=options.all_codes,
        interval_s=schedule.interval_s,
        connections=connections,
    )


def _locust_options(environment: Environment) -> dict[str, Any]:
    parsed = vars(environment.parsed_options or object())
    given = {name: parsed[name] for name in _LOCUST_OPTIONS if parsed.get(name) is not None}
    return {"users": getattr(environment.runner, "target_user_count", None), **given}


def _versions() -> dict[str, str]:
    others = {name: metadata.version(name) for name in _DISTRIBUTIONS}
    return {"sseload": VERSION, **others, "python": platform.python_version()}


def _way_in(environment: Environment) -> str:
    """Return how a user class hands codes in by Python; empty if none does."""
    ways = (getattr(each, "ingest_way", None) for each in environment.user_classes)
    return next((found for way in ways if way is not None and (found := way())), "")
