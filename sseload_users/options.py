"""What a run is told: the options on Locust's command line, in its web form, and checked."""

from __future__ import annotations

import argparse
import math
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, NoReturn, get_args, get_type_hints

from locust.argument_parser import LocustArgumentParser

from sseload_users import targets
from sseload_users.core import objective, option_texts
from sseload_users.core.errors import ConfigError
from sseload_users.core.formatting import clean
from sseload_users.core.metric_selectors import MetricSelector, parse_selectors
from sseload_users.targets import Target
from sseload_users.verdict.rules import FailOn

_HEADERS = ("header", "ingest_header")


@dataclass(frozen=True, slots=True)
class Options:
    """One run's options, checked. Times are in seconds; `add_to` says what each is for."""

    target: str = "code-server"
    codes: int = 10
    duration: float = 60.0
    username: str = "loadtest"
    users_file: str | None = None
    header: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    ingest_header: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    value: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    connect_concurrency: int = 20
    connect_timeout: float = 30.0
    connect_attempts: int = 1
    reconnect: bool = False
    session_length: float = 0.0
    storm_after: float = 0.0
    storm_jitter: float = 0.0
    slow_share: float = 0.0
    slow_rate: float = 1000.0
    delivery_timeout: float = 10.0
    ingest_timeout: float = 10.0
    warm_up: float = 60.0
    settle: float = 1.0
    insecure: bool = False
    ca_file: str | None = None
    client_certificate: str | None = None
    client_key: str | None = field(default=None, repr=False)
    resume_tls: bool = False
    source_addresses: tuple[str, ...] = ()
    thresholds: str | None = None
    fail_on: FailOn = "issues"
    ladder: tuple[int, ...] = ()
    search: Literal["", "connections", "rate"] = ""
    objective: str = objective.DEFAULT
    search_most: int = 10_000
    watch_process: str | None = None
    watch_metrics: str | None = field(default=None, repr=False)
    watch_series: tuple[MetricSelector, ...] = ()
    watch_health: bool = False
    delivery_report: str | None = None
    region: str | None = None
    # Where figures of this machine are told is none of the run's affairs.
    metrics_port: int | None = field(default=None, repr=False)
    metrics_host: str = field(default="127.0.0.1", repr=False)

    @classmethod
    def read(cls, parsed: argparse.Namespace | Mapping[str, Any] | None) -> Options:
        """The options as Locust parsed them, from wherever they came.

        Raises:
            ConfigError: one that cannot be.
        """
        given: Mapping[str, Any] = vars(parsed) if isinstance(parsed, argparse.Namespace) else (
            parsed or {}
        )  # fmt: skip
        values: dict[str, Any] = {}
        for each in fields(cls):
            # What the web form leaves empty comes as an empty text.
            if given.get(each.name) not in (None, ""):
                values[each.name] = given[each.name]
        for name in _HEADERS:
            given_headers = values.pop(name, ())
            values[name] = tuple(
                option_texts.parse_header(_flag(name), each) for each in given_headers
            )
        values["value"] = option_texts.parse_values(values.pop("value", ()))
        values["ladder"] = option_texts.parse_sizes(values.pop("ladder", ""))
        addresses = values.pop("source_addresses", "")
        values["source_addresses"] = tuple(filter(None, re.split(r"[,\s]+", addresses)))
        values["watch_series"] = parse_selectors(values.pop("watch_series", ""))
        options = cls(**values)
        options.check()
        return options

    def public(self) -> dict[str, Any]:
        """The options that may be shown, by name: no header's text, no key's place."""
        shown = {each.name: getattr(self, each.name) for each in fields(self) if each.repr}
        shown["ladder"] = list(self.ladder)
        shown["source_addresses"] = list(self.source_addresses)
        shown["watch_series"] = [str(each) for each in self.watch_series]
        for each in (*_HEADERS, "value"):
            shown[each] = [name for name, _ in getattr(self, each)]
        return shown

    def make_target(self, host: str, profile: str | None = None) -> Target:
        """What is tested.

        Args:
            host: its URL.
            profile: how it is spoken to, where that is not for `target` to say.

        Raises:
            ConfigError: there is no such profile, or the host is no URL.
        """
        return Target(
            targets.load(profile or self.target),
            host,
            headers=self.header,
            ingest_headers=self.ingest_header,
            values=dict(self.value),
        )

    def check_times(self) -> None:
        """See that one thing comes before the other, once classes have said what they have to.

        Raises:
            ConfigError: it does not.
        """
        last = self.duration - self.duration / self.codes
        if self.storm_after and self.storm_after >= last:
            raise ConfigError(
                f"--storm-after {self.storm_after:g} cannot be: the last code goes out after "
                f"{last:g} s, and the run ends; give less, or a longer --duration."
            )

    def check(self) -> None:
        """See that every value can be.

        Raises:
            ConfigError: one cannot.
        """
        for name, lowest in _LOWEST.items():
            value = getattr(self, name)
            if not math.isfinite(value) or value < lowest:
                raise ConfigError(
                    f"{_flag(name)} {value:g} cannot be: it must be "
                    f"{'at least' if lowest else '0 or more, not below'} {lowest:g}."
                )
        if self.slow_share > 1:
            raise ConfigError(
                f"--slow-share {self.slow_share:g} cannot be: it is a share, from 0 to 1 (all)."
            )
        if self.metrics_port is not None and not 1 <= self.metrics_port <= 65535:
            raise ConfigError(
                f"--metrics-port {self.metrics_port} cannot be: it is a port, from 1 to 65535."
            )
        if self.client_key is not None and self.client_certificate is None:
            raise ConfigError("--client-key goes with --client-certificate: give both.")
        if bool(self.watch_metrics) != bool(self.watch_series):
            raise ConfigError("--watch-metrics and --watch-series go together: give both.")
        if self.watch_metrics and not option_texts.is_plain_url(self.watch_metrics):
            # It is not repeated: it may hold a secret.
            raise ConfigError(
                "--watch-metrics is no URL of the form http://host:port/path, with neither user "
                "name nor password."
            )
        objective.Objective.parse(self.objective)
        if self.ladder and self.search:
            raise ConfigError("--ladder and --search are two kinds of run: give one.")
        if self.search not in get_args(get_type_hints(Options)["search"]):
            raise ConfigError(f"--search {clean(self.search)} cannot be: connections or rate.")
        if self.fail_on not in get_args(FailOn):
            raise ConfigError(
                f"--fail-on {self.fail_on} cannot be: it is one of {', '.join(get_args(FailOn))}."
            )


_LOWEST = {
    "codes": 1,
    "duration": 0,
    "connect_concurrency": 1,
    "connect_timeout": 0.001,
    "connect_attempts": 1,
    "session_length": 0,
    "storm_after": 0,
    "storm_jitter": 0,
    "slow_share": 0,
    "slow_rate": 1,
    "delivery_timeout": 0.001,
    "ingest_timeout": 0.001,
    "warm_up": 0,
    "settle": 0,
    "search_most": 1,
}


def add_to(parser: LocustArgumentParser) -> None:
    """Add the options to Locust's; called again with each load of its web form."""
    parser.error = _one_sentence  # type: ignore[method-assign]
    group = parser.add_argument_group("sseload: what to test")
    _add(group, "--target", "built-in profile, or path of a .toml: how the server is spoken to")
    _add(group, "--codes", "codes to broadcast")
    _add(group, "--duration", "seconds over which the codes are spread evenly")
    _add(group, "--username", "user name that connections and ingest requests use")
    _add(group, "--users-file", "CSV file with a username column: connections take them in turn")
    _add(
        group,
        "--header",
        "further request header, 'Name: value', for connections and ingest; may be repeated",
        action="append",
        include_in_web_ui=False,
    )
    _add(
        group,
        "--ingest-header",
        "the same for the requests alone that hand codes in; may be repeated",
        action="append",
        include_in_web_ui=False,
    )
    _add(
        group,
        "--value",
        "text for a name of the profile, name=text; may be repeated (in the web form, with "
        "blanks between); it is kept secret",
        action="append",
        is_secret=True,
    )

    group = parser.add_argument_group("sseload: connections")
    _add(group, "--connect-concurrency", "connections that connect at a time, per process")
    _add(group, "--connect-timeout", "seconds that a connection has to be subscribed")
    _add(group, "--connect-attempts", "attempts to connect before a connection counts as failed")
    _add(group, "--reconnect", "connect again, with back-off, after a drop", action="store_true")
    _add(
        group,
        "--session-length",
        "seconds that a session lives, on average, before another replaces it; 0 for all the run",
    )
    _add(
        group,
        "--storm-after",
        "seconds after the first code when all connections end at once and come back; 0 for never",
    )
    _add(group, "--storm-jitter", "seconds over which they then come back; 0 for all at once")
    _add(
        group,
        "--slow-share",
        "share of the connections, 0 to 1, that read slowly, so that the server has to wait",
        metavar="SHARE",
    )
    _add(group, "--slow-rate", "bytes a second that these read, each", metavar="BYTES")
    _add(group, "--insecure", "accept any server certificate", action="store_true")
    further: dict[str, Any] = {"include_in_web_ui": False}
    _add(group, "--ca-file", "PEM file of certificate authorities to trust", **further)
    _add(group, "--client-certificate", "PEM file of the client's certificate", **further)
    _add(group, "--client-key", "PEM file of its key", **further)
    _add(
        group,
        "--resume-tls",
        "resume TLS sessions instead of a full handshake each",
        action="store_true",
        **further,
    )
    _add(
        group,
        "--source-addresses",
        "local addresses to connect from in turn, with commas between",
        default="",
        **further,
    )

    group = parser.add_argument_group("sseload: how many clients the server holds")
    _add(
        group,
        "--ladder",
        "numbers of connections to test one after the other, with commas between",
        default="",
    )
    _add(
        group,
        "--search",
        "find the most connections (beginning with -u), or codes a second, that keep --objective",
        choices=get_args(get_type_hints(Options)["search"]),
    )
    _add(group, "--objective", "what the server must still do")
    _add(group, "--search-most", "largest number that a search tries")

    group = parser.add_argument_group("sseload: how the server fares meanwhile")
    _add(
        group,
        "--watch-process",
        "a process on this machine, with its children: its PID, its name, or :PORT it listens on",
        **further,
    )
    _add(group, "--watch-metrics", "URL of a Prometheus endpoint", metavar="URL", **further)
    _add(
        group,
        "--watch-series",
        'series of it, with commas between: name, or name{label="value"}; copies are summed up',
        default="",
        **further,
    )
    _add(
        group,
        "--watch-health",
        "how long the target's health check takes, once a second",
        action="store_true",
        **further,
    )

    group = parser.add_argument_group("sseload: the run")
    _add(group, "--region", "where this worker is; figures are told by region", **further)
    _add(group, "--warm-up", "seconds to wait for a server that sleeps to answer its health check")
    _add(group, "--settle", "seconds between the last connect and the first code")
    _add(group, "--delivery-timeout", "seconds after its sending in which a code is in time")
    _add(group, "--ingest-timeout", "seconds that the server has to answer an ingest request")
    _add(group, "--thresholds", "TOML file of thresholds that differ from the defaults", **further)
    _add(
        group,
        "--fail-on",
        "grade from which a headless run ends with status 1",
        choices=get_args(FailOn),
        **further,
    )
    _add(
        group,
        "--delivery-report",
        "directory for report.json, report.html, codes.csv, connections.csv and junit.xml",
        metavar="DIR",
        **further,
    )
    _add(
        group,
        "--metrics-port",
        "port at which Prometheus finds /metrics; with a web UI, that has them as well",
        type=int,
        metavar="PORT",
        **further,
    )
    _add(group, "--metrics-host", "address that this port listens at", **further)


def _add(
    group: Any,
    flag: str,
    words: str,
    *,
    include_in_web_ui: bool = True,
    is_secret: bool = False,
    **how: Any,
) -> None:
    """Add one option, with its type and default as `Options` has them."""
    name = flag.removeprefix("--").replace("-", "_")
    default = next(each.default for each in fields(Options) if each.name == name)
    if "action" not in how:
        kind = type(default) if isinstance(default, int | float) else str
        how = {"type": kind, "default": default, **how}
        words += "" if default is None or default == () else f" (default: {default:g})" if (
            isinstance(default, float)
        ) else f" (default: {default})"  # fmt: skip
        if "choices" not in how:
            how.setdefault("metavar", {int: "N", float: "SECONDS"}.get(kind, "TEXT"))
    action = group.add_argument(flag, help=words, env_var=f"SSELOAD_{name.upper()}", **how)
    # What Locust's parser does for its own options, but not for those in groups.
    action.include_in_web_ui = include_in_web_ui
    action.is_secret = is_secret
    action.is_required = action.is_multiple = False


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _one_sentence(message: str) -> NoReturn:
    sys.stderr.write(f"sseload: {message}; see --help.\n")
    sys.exit(2)
