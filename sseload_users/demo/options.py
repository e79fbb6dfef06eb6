"""The server's options: what the command line says, checked."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn

from sseload_users.core.errors import ConfigError
from sseload_users.demo import values
from sseload_users.demo.faults import Faults

#: What the server speaks like: the code server that the guide was written for, or the same
#: server as it runs today.
Version = Literal["guide", "today"]

#: What each version does where nothing else is said; None belongs to the other version alone.
_DEFAULTS: dict[Version, dict[str, Any]] = {
    "guide": {"dedupe": 0.0, "origins": None, "page_limit": None},
    "today": {
        "dedupe": 5.0,
        "origins": ("https://codes.example",),
        "page_limit": (25, 60.0),
    },
}


@dataclass(frozen=True, slots=True)
class Settings:
    """What one server is told. Times in seconds; see ``--help`` for each.

    Attributes:
        ingest_token: the only one that is valid; None if any is.
        origins: of ``today`` alone, as ``page_limit``; else None.
    """

    version: Version
    host: str
    port: int
    users: tuple[str, ...]
    seed: int
    faults: Faults
    record: Path | None
    tls_cert: Path | None
    tls_key: Path | None
    exit_with_parent: bool
    replay: bool
    dedupe: float
    ingest_delay: float
    stop_after: int
    accept_only: bool
    asleep: float
    max_connections: int
    mute_connections: int
    memory_limit_connections: int
    cost_per_delivery: float
    max_streams: int
    ping_interval: float
    ping_timeout: float
    sse_ping: float
    pong_timeout: float
    token_lifetime: float
    ingest_token: str | None
    origins: tuple[str, ...] | None
    page_limit: tuple[int, float] | None


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message[:1].upper()}{message[1:]}; see --help.")


def parse(arguments: Sequence[str]) -> tuple[Settings, dict[str, Any]]:
    """The settings, and the options as given, for the record.

    Raises:
        ConfigError: an option is unknown, or its value cannot be.
        SystemExit: ``--help`` was asked for.
    """
    given = vars(_parser().parse_args(arguments))
    _complete(given)
    options = {name: str(v) if isinstance(v, Path) else v for name, v in given.items()}
    if given["tls_key"] is not None and given["tls_cert"] is None:
        raise ConfigError("--tls-key needs --tls-cert: give the certificate too.")
    delay, delay_seconds = given.pop("delay")
    reorder, reorder_seconds = given.pop("reorder")
    names = Faults.__dataclass_fields__.keys() & given.keys()
    faults = Faults(
        delay=delay,
        delay_seconds=delay_seconds,
        reorder=reorder,
        reorder_seconds=reorder_seconds,
        **{name: given.pop(name) for name in names},
    )
    return Settings(version=given.pop("as"), faults=faults, **given), options


def _complete(given: dict[str, Any]) -> None:
    """Put in what the version does by default.

    Raises:
        ConfigError: an option is not this version's.
    """
    version = given["as"]
    for name, default in _DEFAULTS[version].items():
        if given[name] is None:
            given[name] = default
        elif default is None:
            raise ConfigError(f"--{name.replace('_', '-')} needs --as today.")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m sseload_users.demo",
        description="The embedded target: a server that broadcasts codes over WebSocket, "
        "Socket.IO and server-sent events. A SHARE is a number between 0 and 1.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    add(
        "--port",
        type=values.port,
        default=0,
        help="port to listen on; 0 for a free one (the default)",
    )
    add(
        "--users",
        type=values.names,
        default=("loadtest", "alice", "bob"),
        metavar="A,B,…",
        help="known user names (default: loadtest,alice,bob)",
    )
    add(
        "--as",
        choices=tuple(_DEFAULTS),
        default="guide",
        help="speak like the code server that the guide was written for, with /ws/ingest, plain "
        "WebSocket and plain event streams beside it, or exactly like the same server as it "
        "runs today (default: guide)",
    )
    add(
        "--ingest-token",
        metavar="TOKEN",
        help="the only token that /ws/ingest takes (default: it takes any)",
    )
    add("--exit-with-parent", action="store_true", help="end when standard input ends")
    add("--record", type=Path, metavar="FILE", help="write what was done to whom, as JSON lines")
    add("--seed", type=int, default=0, help="the faults' seed (default: 0)")

    today = parser.add_argument_group("the server as it runs today (--as today)").add_argument
    today(
        "--origins",
        type=values.names,
        metavar="A,B,…",
        help="accepted origins; a Socket.IO client may also send none "
        "(default: https://codes.example)",
    )
    today(
        "--page-limit",
        type=values.count_and_seconds(60.0),
        metavar="N[:SECONDS]",
        help="answer /embed-stream so many times a minute, or in SECONDS, for each user; "
        "0 is no limit (default: 25)",
    )

    tls = parser.add_argument_group("TLS").add_argument
    tls(
        "--tls-cert",
        type=Path,
        metavar="FILE",
        help="certificate chain, PEM, with the private key in it unless --tls-key is given",
    )
    tls("--tls-key", type=Path, metavar="FILE", help="the private key, PEM")

    limits = parser.add_argument_group(
        "capacity", "Connections are counted over all transports; 0 is no limit."
    ).add_argument
    limits(
        "--max-connections",
        type=values.count,
        default=0,
        metavar="N",
        help="with N connections open, refuse one more by HTTP 503",
    )
    limits(
        "--mute-connections",
        type=values.count,
        default=0,
        metavar="N",
        help="with N connections open, accept TCP but answer no request any more",
    )
    limits(
        "--memory-limit-connections",
        type=values.count,
        default=0,
        metavar="N",
        help="when N connections are open, the whole server is killed (SIGKILL), as a host "
        "does that runs out of memory",
    )
    limits(
        "--cost-per-delivery",
        type=values.seconds_or_zero,
        default=0.0,
        metavar="SECONDS",
        help="deliver to one subscriber after the other, so much apart: a broadcast to N takes "
        "N times as long, and the next code waits for it",
    )
    limits(
        "--max-streams",
        type=values.count,
        default=500,
        metavar="N",
        help="with N event streams open, one more gets a 500 (default: 500)",
    )

    beats = parser.add_argument_group("heartbeats and tokens").add_argument
    beats("--ping-interval", type=values.seconds, default=25.0, help="Engine.IO's (default: 25 s)")
    beats("--ping-timeout", type=values.seconds, default=20.0, help="Engine.IO's (default: 20 s)")
    beats(
        "--sse-ping",
        type=values.seconds,
        default=10.0,
        help="between pings on streams (default: 10 s)",
    )
    beats(
        "--pong-timeout",
        type=values.seconds,
        default=120.0,
        help="without /sse-pong for so long, a stream gets no more codes (default: 120 s)",
    )

    beats(
        "--token-lifetime",
        type=values.seconds,
        default=900.0,
        help="how long a token of /embed-stream is good (default: 900 s)",
    )

    faults = parser.add_argument_group("faults in deliveries").add_argument
    faults("--lose", type=values.share, default=0.0, metavar="SHARE", help="never write them")
    faults(
        "--delay",
        type=values.share_and_seconds(None),
        default=(0.0, 0.0),
        metavar="SHARE:SECONDS",
        help="write them later",
    )
    faults("--duplicate", type=values.share, default=0.0, metavar="SHARE", help="write them twice")
    faults(
        "--reorder",
        type=values.share_and_seconds(10.0),
        default=(0.0, 10.0),
        metavar="SHARE[:SECONDS]",
        help="hold them until after the connection's next code, or for SECONDS (default: 10)",
    )
    faults(
        "--garbage",
        type=values.share,
        default=0.0,
        metavar="SHARE",
        help="write something undecodable after them",
    )
    faults(
        "--garbage-how",
        choices=("message", "frame"),
        default="message",
        help="a broken message in a good frame, or a broken frame (default: message)",
    )
    faults(
        "--foreign",
        type=values.share,
        default=0.0,
        metavar="SHARE",
        help="write somebody else's code after them",
    )
    faults("--replay", action="store_true", help="write all earlier codes to late joiners")

    ends = parser.add_argument_group("faults of connections").add_argument
    ends("--drop", type=values.share, default=0.0, metavar="SHARE", help="end them")
    ends(
        "--drop-how",
        choices=("close", "reset", "silent"),
        default="close",
        help="in order, by TCP reset, or not at all but write nothing more (default: close)",
    )
    ends(
        "--drop-code",
        type=values.close_code,
        default=1001,
        help="WebSocket close code (default: 1001)",
    )
    ends(
        "--drop-after",
        type=values.positive,
        default=1,
        metavar="N",
        help="after N codes (default: 1)",
    )
    ends("--refuse", type=values.share, default=0.0, metavar="SHARE", help="refuse their handshake")
    ends(
        "--refuse-how",
        choices=("503", "reset", "hang"),
        default="503",
        help="by HTTP 503, by TCP reset, or by never answering (default: 503)",
    )
    ends("--accept-only", action="store_true", help="accept TCP and never answer anything")
    ends(
        "--asleep",
        type=values.seconds_or_zero,
        default=0.0,
        metavar="SECONDS",
        help="answer every request with a 502 for so long after the start",
    )

    ingest = parser.add_argument_group("faults of ingests").add_argument
    ingest(
        "--ingest-status",
        type=values.status,
        metavar="CODE",
        help="answer so, and broadcast nothing; over /ws/ingest, say that it was ordered",
    )
    ingest(
        "--ingest-share", type=values.share, default=1.0, metavar="SHARE", help="of ingests (all)"
    )
    ingest(
        "--ingest-delay",
        type=values.seconds_or_zero,
        default=0.0,
        metavar="SECONDS",
        help="wait before each answer, and so before each broadcast",
    )
    ingest(
        "--ingest-hang",
        type=values.share,
        default=0.0,
        metavar="SHARE",
        help="broadcast, but never answer",
    )
    ingest(
        "--ingest-reset",
        type=values.share,
        default=0.0,
        metavar="SHARE",
        help="broadcast, but reset the connection instead of answering",
    )
    ingest(
        "--dedupe",
        type=values.seconds_or_zero,
        metavar="SECONDS",
        help="answer, but do not broadcast, a code repeated within SECONDS "
        "(default: 0, or 5 with --as today)",
    )
    ingest(
        "--stop-after",
        type=values.count,
        default=0,
        metavar="N",
        help="after N codes the whole server is killed (SIGKILL)",
    )
    return parser
