"""A run's options: one table for the command line, environment, web form and validation."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import Field, dataclass, fields
from typing import Any, Literal, NoReturn, get_args

from locust.argument_parser import LocustArgumentParser

from sseload_users import targets
from sseload_users.core import objective, option_texts
from sseload_users.core.channels import CHANNEL_ORDERS, ChannelOrder
from sseload_users.core.errors import ConfigError
from sseload_users.core.fail_on import FailOn
from sseload_users.core.loss_kind import LossKind
from sseload_users.core.metric_selectors import MetricSelector, parse_selectors
from sseload_users.core.option_spec import (
    OptionSpec,
    flag,
    number_type,
    option,
    parse_number,
    spec_of,
)
from sseload_users.core.payload_sizes import PayloadSizes
from sseload_users.core.streams import StreamPlan
from sseload_users.targets import Target
from sseload_users.targets.hosts import parse_nodes

_HEADERS = ("header", "ingest_header")

_TEST = "sseload: what to test"
_CONNECTIONS = "sseload: connections"
_CAPACITY = "sseload: how many clients the server holds"
_MONITOR = "sseload: the server during the run"
_RUN = "sseload: the run"

_ChannelSizes = Literal["even", "zipf"]
_Search = Literal["", "connections", "rate"]
#: Smallest timeout, in seconds.
_INSTANT = 0.001
#: Seconds over which the codes are spread unless the user says otherwise.
DURATION_S = 60.0


@dataclass(frozen=True, slots=True)
class Options:
    """One run's options. Times are in seconds.

    Each field declares its option: the flag is the field's name (`--connect-timeout` for
    `connect_timeout`), the environment variable is `SSELOAD_CONNECT_TIMEOUT`.
    """

    target: str = option(
        "code-server", _TEST, "built-in target profile, or the path of a .toml file"
    )
    codes: int = option(10, _TEST, "number of codes to broadcast", lowest=1)
    duration: float | None = option(
        None, _TEST, "seconds over which the codes are spread evenly (default: "
        f"{DURATION_S:g}, or fewer to end before -t does)", number=float, unit="SECONDS", lowest=0,
    )  # fmt: skip
    observe: bool = option(
        False, _TEST, "send no codes: observe the messages that others send, for --duration; the "
        "profile has [code] id",
    )  # fmt: skip
    username: str = option("loadtest", _TEST, "user that connects and sends codes")
    users_file: str | None = option(
        None, _TEST, "CSV file with a username column: connections use its rows in turn"
    )
    sender: str = option(
        "", _TEST, "user that sends the codes, and has no other connection if it is in the users "
        "file; the first user that connects if not given", unit="NAME",
    )  # fmt: skip
    header: tuple[tuple[str, str], ...] = option(
        (), _TEST, "additional request header, 'Name: value', for connections and ingest; may be "
        "repeated", repeatable=True, in_form=False, secret=True,
    )  # fmt: skip
    ingest_header: tuple[tuple[str, str], ...] = option(
        (), _TEST, "additional header, 'Name: value', for ingest requests only; may be repeated",
        repeatable=True, in_form=False, secret=True,
    )  # fmt: skip
    value: tuple[tuple[str, str], ...] = option(
        (), _TEST, "value for a name in the profile, name=text; may be repeated (in the web form, "
        "separated by blanks); it is kept secret", repeatable=True, secret=True,
    )  # fmt: skip
    channels: int = option(
        0, _TEST, "number of channels, c1, c2 and so on, over which connections are spread; the "
        "profile uses {channel}; 0 for the channels that the profile names, if any", lowest=0,
    )  # fmt: skip
    channel_sizes: _ChannelSizes = option(
        "even", _TEST, "sizes of these channels: even, or zipf (the k-th has a k-th of the "
        "connections that the first has)", choices=get_args(_ChannelSizes),
    )  # fmt: skip
    channel_order: ChannelOrder = option(
        "turn", _TEST, "channel that each code goes to: in turn, random, or weighted by the "
        "number of connections", choices=CHANNEL_ORDERS,
    )  # fmt: skip
    channel_churn: float = option(
        0.0, _CONNECTIONS, "average seconds after which a connection moves to another channel, as "
        "the profile's [audience] says; 0 for never", lowest=0,
    )  # fmt: skip
    publishers: int = option(
        1, _TEST, "number of publishers, each with its own connection or login, and each with as "
        "many codes as --codes says", lowest=1,
    )  # fmt: skip
    nodes: tuple[str, ...] = option(
        (), _TEST, "comma-separated URLs of the server's nodes, over which connections and codes "
        "are spread: URL=ADDRESS for one address of a name, and URL alone for each of them; --host "
        "is then only for checks before the run, and the first node if not given",
        unit="URL,URL", in_form=False,
    )  # fmt: skip
    embedded: str = option(
        "", _TEST, "options of the embedded target, which a run without --host and --nodes tests: "
        "--embedded='--nodes 3 --lose 0.01'; sseload demo --help explains them",
        unit="OPTIONS", in_form=False,
    )  # fmt: skip
    payload_bytes: str = option(
        "", _TEST, "size to which the payloads that carry codes are padded: 2000, 200,2000 (one of "
        "these), 200-2000 (any between) or 1000:exponential; the profile uses {padding}",
        unit="BYTES",
    )  # fmt: skip
    connect_concurrency: int = option(
        20, _CONNECTIONS, "number of connections that connect at the same time, per process",
        lowest=1,
    )  # fmt: skip
    connect_timeout: float = option(
        30.0, _CONNECTIONS, "seconds within which a connection must be subscribed",
        lowest=_INSTANT,
    )  # fmt: skip
    connect_attempts: int = option(
        1, _CONNECTIONS, "attempts to connect before a connection counts as failed", lowest=1
    )
    reconnect: bool = option(False, _CONNECTIONS, "reconnect with back-off after a drop")
    session_length: float = option(
        0.0, _CONNECTIONS, "average seconds after which a session ends and a new one replaces it; "
        "0 to keep sessions for the whole run", lowest=0,
    )  # fmt: skip
    storm_after: float = option(
        0.0, _CONNECTIONS, "seconds after the first code at which all connections close and "
        "reconnect; 0 for never", lowest=0,
    )  # fmt: skip
    storm_jitter: float = option(
        0.0, _CONNECTIONS, "seconds over which they reconnect; 0 for all at once", lowest=0
    )
    flap: float = option(
        0.0, _CONNECTIONS, "seconds, from the first code on, after each of which one connection is "
        "lost, in turn, and returns within --storm-jitter; 0 for never", lowest=0,
    )  # fmt: skip
    flap_how: LossKind = option(
        "fin", _CONNECTIONS, "how it is lost: closed in order but without a goodbye (fin), reset "
        "(rst), or silently: the server is not told (silent)", choices=get_args(LossKind),
    )  # fmt: skip
    slow_share: float = option(
        0.0, _CONNECTIONS, "share of the connections, 0 to 1, that read slowly", unit="SHARE",
        lowest=0, highest=1,
    )  # fmt: skip
    slow_rate: float = option(
        1000.0, _CONNECTIONS, "bytes a second that each of them reads", unit="BYTES", lowest=1
    )
    delivery_timeout: float = option(
        10.0, _RUN, "seconds after sending within which a code counts as delivered",
        lowest=_INSTANT,
    )  # fmt: skip
    ingest_timeout: float = option(
        10.0, _RUN, "seconds within which the server must respond to a code", lowest=_INSTANT
    )
    warm_up: float = option(
        60.0, _RUN, "seconds to wait for a sleeping server to pass its health check", lowest=0
    )
    settle: float = option(
        1.0, _RUN, "seconds between the last connect and the first code", lowest=0
    )
    insecure: bool = option(False, _CONNECTIONS, "accept any server certificate")
    ca_file: str | None = option(
        None, _CONNECTIONS, "PEM file of certificate authorities to trust", in_form=False
    )
    client_certificate: str | None = option(
        None, _CONNECTIONS, "PEM file of the client certificate", in_form=False
    )
    client_key: str | None = option(
        None, _CONNECTIONS, "PEM file of its key", in_form=False, public=False
    )
    client_key_password: str | None = option(
        None, _CONNECTIONS, "passphrase of that key", in_form=False, public=False, secret=True
    )
    resume_tls: bool = option(
        False, _CONNECTIONS, "resume TLS sessions instead of making full handshakes", in_form=False
    )
    no_compression: bool = option(
        False, _CONNECTIONS, "offer no compression: neither permessage-deflate nor gzip",
    )  # fmt: skip
    source_addresses: tuple[str, ...] = option(
        (), _CONNECTIONS, "comma-separated local addresses to connect from in turn", in_form=False
    )
    resolve: tuple[str, ...] = option(
        (), _CONNECTIONS, "address to use for a host and port instead of asking the DNS, "
        "HOST:PORT:ADDRESS; may be repeated", repeatable=True, in_form=False,
    )  # fmt: skip
    proxy: str | None = option(
        None, _CONNECTIONS, "HTTP proxy for all connections, http://[user:password@]host:port; "
        "otherwise HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY apply", unit="URL",
        in_form=False, public=False, secret=True,
    )  # fmt: skip
    thresholds: str | None = option(
        None, _RUN, "TOML file of thresholds that differ from the defaults", in_form=False
    )
    fail_on: FailOn = option(
        "issues", _RUN, "grade from which a headless run ends with status 1",
        choices=get_args(FailOn), in_form=False,
    )  # fmt: skip
    ladder: tuple[int, ...] = option(
        (), _CAPACITY, "comma-separated numbers of connections to test one after the other"
    )
    search: _Search = option(
        "", _CAPACITY, "find the most connections, starting with -u, or the most codes a second, "
        "that still meet --objective", choices=get_args(_Search),
    )  # fmt: skip
    objective: str = option(
        "", _CAPACITY, "conditions that the server must meet, in any run; a search has "
        f"{objective.DEFAULT} if none are given",
    )  # fmt: skip
    search_most: int = option(10_000, _CAPACITY, "largest number that a search tries", lowest=1)
    watch_process: str | None = option(
        None, _MONITOR, "process on this machine to watch, with its children: a PID, a name, or "
        ":PORT that it listens on", in_form=False,
    )  # fmt: skip
    watch_metrics: str | None = option(
        None, _MONITOR, "URL of a Prometheus endpoint to watch", unit="URL", in_form=False,
        public=False,
    )  # fmt: skip
    watch_series: tuple[MetricSelector, ...] = option(
        (), _MONITOR, 'comma-separated series of it: name, or name{label="value"}; several '
        "matches are added up", in_form=False,
    )  # fmt: skip
    watch_health: bool = option(
        False, _MONITOR, "measure the response time of the target's health check once a second",
        in_form=False,
    )  # fmt: skip
    delivery_report: str | None = option(
        None, _RUN, "directory for report.json, report.html, report.md, junit.xml and CSV "
        "tables", unit="DIR", in_form=False,
    )  # fmt: skip
    history: str = option(
        "", _RUN, "directory in which each run keeps its report, in a folder of its own; the "
        "command sseload uses reports/ if this is not given, and none if it is empty", unit="DIR",
        in_form=False,
    )  # fmt: skip
    name: str = option(
        "", _RUN, "name for runs of this kind, which sseload trend follows over time", unit="NAME"
    )
    baseline: str | None = option(
        None, _RUN, "report.json of an earlier run, or its directory: a headless run that is "
        "clearly worse ends with status 5", unit="FILE", in_form=False,
    )  # fmt: skip
    deliveries_csv: bool = option(
        False, _RUN, "write deliveries.csv there, too: a row for each delivery that was late, "
        "recovered, interrupted or missing", in_form=False,
    )  # fmt: skip
    region: str | None = option(
        None, _RUN, "location of this worker; the report groups figures by region", in_form=False
    )
    # Where this machine shows figures does not belong to the run.
    metrics_port: int | None = option(
        None, _RUN, "port on which to serve /metrics for Prometheus; the web UI serves it as "
        "well", number=int, unit="PORT", lowest=1, highest=65535, in_form=False, public=False,
    )  # fmt: skip
    metrics_host: str = option(
        "127.0.0.1", _RUN, "address on which to serve it", in_form=False, public=False
    )
    metrics_wait: float = option(
        0.0, _RUN, "seconds for which a headless run waits at its end until its final metrics have "
        "been scraped from that port", lowest=0, in_form=False, public=False,
    )  # fmt: skip

    @classmethod
    def read(cls, parsed: argparse.Namespace | Mapping[str, Any] | None) -> Options:
        """Return the options that Locust parsed, whatever their source.

        Raises:
            ConfigError: a value is invalid.
        """
        given: Mapping[str, Any] = vars(parsed) if isinstance(parsed, argparse.Namespace) else (
            parsed or {}
        )  # fmt: skip
        # The web form sends an empty text for a field that was left empty.
        values = {
            each.name: parse_number(each, given[each.name])
            for each in fields(cls)
            if given.get(each.name) not in (None, "")
        }
        for name in _HEADERS:
            headers = values.pop(name, ())
            values[name] = tuple(option_texts.parse_header(flag(name), each) for each in headers)
        values["value"] = option_texts.parse_values(values.pop("value", ()))
        values["ladder"] = option_texts.parse_sizes(values.pop("ladder", ""))
        addresses = values.pop("source_addresses", "")
        values["resolve"] = tuple(values.pop("resolve", ()))
        values["nodes"] = parse_nodes(values.pop("nodes", ""))
        values["source_addresses"] = tuple(filter(None, re.split(r"[,\s]+", addresses)))
        values["watch_series"] = parse_selectors(values.pop("watch_series", ""))
        options = cls(**values)
        options.check()
        return options

    @property
    def duration_s(self) -> float:
        """The seconds over which the codes are spread, unless a time limit shortens them."""
        return DURATION_S if self.duration is None else self.duration

    @property
    def all_codes(self) -> int:
        """The number of codes of all publishers together."""
        return self.codes * self.publishers

    @property
    def streams(self) -> StreamPlan:
        """How codes are dealt to publishers and nodes."""
        return StreamPlan(self.publishers, max(len(self.nodes), 1))

    def public(self) -> dict[str, Any]:
        """Return the options that reports may contain, by name: no header's value, no key."""
        shown = {
            each.name: getattr(self, each.name) for each in fields(self) if spec_of(each).public
        }
        shown["duration"] = self.duration_s
        shown["ladder"] = list(self.ladder)
        shown["source_addresses"] = list(self.source_addresses)
        shown["resolve"] = list(self.resolve)
        shown["nodes"] = list(self.nodes)
        shown["watch_series"] = [str(each) for each in self.watch_series]
        for each in (*_HEADERS, "value"):
            shown[each] = [name for name, _ in getattr(self, each)]
        return shown

    def make_target(self, host: str, profile: str | None = None) -> Target:
        """Return the target of the run.

        Args:
            host: URL of the server.
            profile: target profile, if not `target`.

        Raises:
            ConfigError: there is no such profile, or the host is not a URL.
        """
        return Target(
            targets.load(profile or self.target),
            host,
            headers=self.header,
            ingest_headers=self.ingest_header,
            values=dict(self.value),
            padded=bool(PayloadSizes.parse(self.payload_bytes)),
        )

    def check_times(self) -> None:
        """Check the order of moments, once the user classes' values are known.

        Raises:
            ConfigError: a moment is out of order.
        """
        last = self.duration_s - self.duration_s / self.all_codes
        for name in ("storm_after", "flap"):
            value = getattr(self, name)
            if value and value >= last:
                raise ConfigError(
                    f"Invalid {flag(name)} {value:g}: the run ends after the last code, "
                    f"{last:g} s after the first; use a smaller value or a longer --duration."
                )

    def check(self) -> None:
        """Check each value, and which options go together.

        Raises:
            ConfigError: a value is invalid.
        """
        for each in fields(self):
            spec_of(each).check(each.name, getattr(self, each.name))
        if self.client_key is not None and self.client_certificate is None:
            raise ConfigError("--client-key needs --client-certificate: give both.")
        if self.client_key_password is not None and self.client_certificate is None:
            raise ConfigError("--client-key-password needs --client-certificate: give both.")
        if self.metrics_wait and self.metrics_port is None:
            raise ConfigError("--metrics-wait needs a port: give --metrics-port, too.")
        if bool(self.watch_metrics) != bool(self.watch_series):
            raise ConfigError("--watch-metrics and --watch-series go together: give both.")
        if self.watch_metrics and not option_texts.is_plain_url(self.watch_metrics):
            # The URL may contain a secret, so it is not repeated.
            raise ConfigError(
                "Invalid --watch-metrics: use a URL of the form http://host:port/path, without "
                "user name and password."
            )
        if self.objective:
            objective.Objective.parse(self.objective)
        PayloadSizes.parse(self.payload_bytes)
        if self.observe:
            self._check_observation()
        if self.deliveries_csv and self.delivery_report is None:
            raise ConfigError("--deliveries-csv needs a directory: give --delivery-report, too.")
        if self.ladder and self.search:
            raise ConfigError("--ladder and --search exclude each other: give one of them.")

    def _check_observation(self) -> None:
        for name in (
            "ladder",
            "search",
            "channels",
            "channel_churn",
            "nodes",
            "sender",
            "ingest_header",
            "payload_bytes",
        ):
            if getattr(self, name):
                raise ConfigError(f"--observe sends no codes: leave {flag(name)} out.")
        if self.publishers > 1:
            raise ConfigError("--observe sends no codes: leave --publishers out.")


def add_to(parser: LocustArgumentParser) -> None:
    """Add the options to Locust's. Locust calls this again on each load of its web form."""
    parser.error = _exit_with_sentence  # type: ignore[method-assign]
    for title in (_TEST, _CONNECTIONS, _CAPACITY, _MONITOR, _RUN):
        group = parser.add_argument_group(title)
        for each in fields(Options):
            if spec_of(each).group == title:
                _add(group, each, spec_of(each))


def _add(group: Any, declared: Field[Any], spec: OptionSpec) -> None:
    default, text = declared.default, spec.help
    arguments: dict[str, Any]
    if isinstance(default, bool):
        arguments = {"action": "store_true"}
    elif spec.repeatable:
        arguments = {"action": "append"}
    else:
        kind = number_type(declared) or str
        if default not in (None, (), ""):
            shown = f"{default:g}" if isinstance(default, float) else str(default)
            text += f" (default: {shown})"
        # An empty text, not a list: Locust's web form fails on lists.
        arguments = {"type": kind, "default": "" if default == () else default}
        if spec.choices:
            arguments["choices"] = spec.choices
        else:
            usual = {int: "N", float: "SECONDS"}.get(kind, "TEXT")
            arguments["metavar"] = spec.unit or usual
    name = declared.name
    # argparse formats the help: a percent sign is doubled.
    text = text.replace("%", "%%")
    variable = f"SSELOAD_{name.upper()}"
    # Build servers set a variable or secret that has no value to an empty text.
    is_empty = os.environ.get(variable) == ""
    action = group.add_argument(
        flag(name), help=text, env_var=None if is_empty else variable, **arguments
    )
    # Locust's parser sets these on its own options only, not on those in groups.
    action.include_in_web_ui = spec.in_form
    action.is_secret = spec.secret
    action.is_required = action.is_multiple = False


def _exit_with_sentence(message: str) -> NoReturn:
    sys.stderr.write(f"sseload: {message}; see --help-all.\n")
    sys.exit(2)
