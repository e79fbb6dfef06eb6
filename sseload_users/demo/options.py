"""The server's settings, from its command line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sseload_users.core.errors import ConfigError
from sseload_users.demo import command_line
from sseload_users.demo.backplane import BackplaneKind
from sseload_users.demo.faults import Faults

#: Which code server to imitate: as the guide describes it, or as it runs today.
Version = Literal["guide", "today"]

#: Defaults that depend on the version; None: the option is invalid for this version.
_DEFAULTS: dict[Version, dict[str, Any]] = {
    "guide": {"dedupe": 0.0, "origins": None, "page_limit": None},
    "today": {
        "dedupe": 5.0,
        "origins": ("https://codes.example",),
        "page_limit": (25, 60.0),
    },
}


_LAST_PORT = 65535


@dataclass(frozen=True, slots=True)
class Settings:
    """A server's configuration; ``--help`` explains each option. Times are in seconds.

    Attributes:
        ingest_token: the only valid token; None accepts any.
        origins: only for ``today``, as ``page_limit``; else None.
    """

    version: Version
    host: str
    port: int
    nodes: int
    backplane: BackplaneKind
    restart_after: float
    restart_away: float
    restart_how: Literal["close", "reset"]
    users: tuple[str, ...]
    seed: int
    faults: Faults
    record: Path | None
    tls_cert: Path | None
    tls_key: Path | None
    exit_with_parent: bool
    replay: bool
    replay_all: bool
    lose_gap: bool
    history: int
    dedupe: float
    ingest_delay: float
    stop_after: int
    accept_only: bool
    asleep: float
    unhealthy_after: int
    max_connections: int
    mute_connections: int
    memory_limit_connections: int
    cost_per_delivery: float
    wait_for_slow: bool
    handshake_rate: int
    max_streams: int
    one_session: bool
    ping_interval: float
    ping_timeout: float
    sse_ping: float
    pong_timeout: float
    token_lifetime: float
    ingest_token: str | None
    origins: tuple[str, ...] | None
    page_limit: tuple[int, float] | None


def parse(arguments: Sequence[str]) -> tuple[Settings, dict[str, Any]]:
    """Parse a command line.

    Returns:
        The settings, and the options as given, for the record.

    Raises:
        ConfigError: an option or value is invalid; one sentence.
        SystemExit: on ``--help``.
    """
    given = vars(command_line.parser().parse_args(arguments))
    _apply_version_defaults(given)
    options = {name: str(v) if isinstance(v, Path) else v for name, v in given.items()}
    if given["tls_key"] is not None and given["tls_cert"] is None:
        raise ConfigError("--tls-key requires --tls-cert.")
    if given["port"] + given["nodes"] - 1 > _LAST_PORT:
        raise ConfigError(
            f"--nodes {given['nodes']}: there are not as many ports from --port {given['port']} on."
        )
    delay, delay_seconds = given.pop("delay")
    reorder, reorder_seconds = given.pop("reorder")
    late_join, late_join_seconds = given.pop("late_join")
    names = Faults.__dataclass_fields__.keys() & given.keys()
    faults = Faults(
        delay=delay,
        delay_seconds=delay_seconds,
        reorder=reorder,
        reorder_seconds=reorder_seconds,
        late_join=late_join,
        late_join_seconds=late_join_seconds,
        **{name: given.pop(name) for name in names},
    )
    return Settings(version=given.pop("as"), faults=faults, **given), options


def _apply_version_defaults(given: dict[str, Any]) -> None:
    """Fill in the defaults of the chosen version.

    Raises:
        ConfigError: an option is invalid for this version.
    """
    version = given["as"]
    for name, default in _DEFAULTS[version].items():
        if given[name] is None:
            given[name] = default
        elif default is None:
            raise ConfigError(f"--{name.replace('_', '-')} requires --as today.")
