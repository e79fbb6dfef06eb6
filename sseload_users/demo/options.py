"""The server's options: what the command line says, checked."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from sseload_users.core.errors import ConfigError
from sseload_users.demo.faults import Faults


@dataclass(frozen=True, slots=True)
class Settings:
    """What one server is told. Times in seconds; see ``--help`` for each."""

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
    return Settings(faults=faults, **given), options


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m sseload_users.demo",
        description="The embedded target: a server that broadcasts codes over WebSocket, "
        "Socket.IO and server-sent events. A SHARE is a number between 0 and 1.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    add("--port", type=_port, default=0, help="port to listen on; 0 for a free one (the default)")
    add(
        "--users",
        type=_names,
        default=("loadtest", "alice", "bob"),
        metavar="A,B,…",
        help="known user names (default: loadtest,alice,bob)",
    )
    add("--exit-with-parent", action="store_true", help="end when standard input ends")
    add("--record", type=Path, metavar="FILE", help="write what was done to whom, as JSON lines")
    add("--seed", type=int, default=0, help="the faults' seed (default: 0)")

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
        type=_count,
        default=0,
        metavar="N",
        help="with N connections open, refuse one more by HTTP 503",
    )
    limits(
        "--mute-connections",
        type=_count,
        default=0,
        metavar="N",
        help="with N connections open, accept TCP but answer no request any more",
    )
    limits(
        "--memory-limit-connections",
        type=_count,
        default=0,
        metavar="N",
        help="when N connections are open, the whole server is killed (SIGKILL), as a host "
        "does that runs out of memory",
    )
    limits(
        "--cost-per-delivery",
        type=_seconds_or_zero,
        default=0.0,
        metavar="SECONDS",
        help="deliver to one subscriber after the other, so much apart: a broadcast to N takes "
        "N times as long, and the next code waits for it",
    )
    limits(
        "--max-streams",
        type=_count,
        default=500,
        metavar="N",
        help="with N event streams open, one more gets a 500 (default: 500)",
    )

    beats = parser.add_argument_group("heartbeats").add_argument
    beats("--ping-interval", type=_seconds, default=25.0, help="Engine.IO's (default: 25 s)")
    beats("--ping-timeout", type=_seconds, default=20.0, help="Engine.IO's (default: 20 s)")
    beats(
        "--sse-ping", type=_seconds, default=10.0, help="between pings on streams (default: 10 s)"
    )
    beats(
        "--pong-timeout",
        type=_seconds,
        default=120.0,
        help="without /sse-pong for so long, a stream gets no more codes (default: 120 s)",
    )

    faults = parser.add_argument_group("faults in deliveries").add_argument
    faults("--lose", type=_share, default=0.0, metavar="SHARE", help="never write them")
    faults(
        "--delay",
        type=_share_and_seconds(None),
        default=(0.0, 0.0),
        metavar="SHARE:SECONDS",
        help="write them later",
    )
    faults("--duplicate", type=_share, default=0.0, metavar="SHARE", help="write them twice")
    faults(
        "--reorder",
        type=_share_and_seconds(10.0),
        default=(0.0, 10.0),
        metavar="SHARE[:SECONDS]",
        help="hold them until after the connection's next code, or for SECONDS (default: 10)",
    )
    faults(
        "--garbage",
        type=_share,
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
        type=_share,
        default=0.0,
        metavar="SHARE",
        help="write somebody else's code after them",
    )
    faults("--replay", action="store_true", help="write all earlier codes to late joiners")

    ends = parser.add_argument_group("faults of connections").add_argument
    ends("--drop", type=_share, default=0.0, metavar="SHARE", help="end them")
    ends(
        "--drop-how",
        choices=("close", "reset", "silent"),
        default="close",
        help="in order, by TCP reset, or not at all but write nothing more (default: close)",
    )
    ends("--drop-code", type=_close_code, default=1001, help="WebSocket close code (default: 1001)")
    ends("--drop-after", type=_positive, default=1, metavar="N", help="after N codes (default: 1)")
    ends("--refuse", type=_share, default=0.0, metavar="SHARE", help="refuse their handshake")
    ends(
        "--refuse-how",
        choices=("503", "reset", "hang"),
        default="503",
        help="by HTTP 503, by TCP reset, or by never answering (default: 503)",
    )
    ends("--accept-only", action="store_true", help="accept TCP and never answer anything")
    ends(
        "--asleep",
        type=_seconds_or_zero,
        default=0.0,
        metavar="SECONDS",
        help="answer every request with a 502 for so long after the start",
    )

    ingest = parser.add_argument_group("faults of ingests").add_argument
    ingest("--ingest-status", type=_status, metavar="CODE", help="answer so, and broadcast nothing")
    ingest("--ingest-share", type=_share, default=1.0, metavar="SHARE", help="of ingests (all)")
    ingest(
        "--ingest-delay",
        type=_seconds_or_zero,
        default=0.0,
        metavar="SECONDS",
        help="wait before each answer, and so before each broadcast",
    )
    ingest(
        "--ingest-hang",
        type=_share,
        default=0.0,
        metavar="SHARE",
        help="broadcast, but never answer",
    )
    ingest(
        "--dedupe",
        type=_seconds_or_zero,
        default=0.0,
        metavar="SECONDS",
        help="answer, but do not broadcast, a code repeated within SECONDS",
    )
    ingest(
        "--stop-after",
        type=_count,
        default=0,
        metavar="N",
        help="after N codes the whole server is killed (SIGKILL)",
    )
    return parser


def _share(text: str) -> float:
    value = _number(text)
    if not 0.0 <= value <= 1.0:
        raise argparse.ArgumentTypeError(f"{text} is not a share between 0 and 1")
    return value


def _share_and_seconds(default: float | None) -> Callable[[str], tuple[float, float]]:
    def convert(text: str) -> tuple[float, float]:
        share, colon, seconds = text.partition(":")
        if not colon and default is not None:
            return _share(share), default
        if not colon:
            raise argparse.ArgumentTypeError(f"{text} has no seconds: write SHARE:SECONDS")
        return _share(share), _seconds(seconds)

    return convert


def _seconds(text: str) -> float:
    value = _number(text)
    if not value > 0:
        raise argparse.ArgumentTypeError(f"{text} is not a number of seconds above 0")
    return value


def _seconds_or_zero(text: str) -> float:
    return 0.0 if _number(text) == 0 else _seconds(text)


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number")
    return value


def _integer(text: str, low: int, high: int, what: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = low - 1
    if not low <= value <= high:
        raise argparse.ArgumentTypeError(f"{text!r} is not {what}")
    return value


def _port(text: str) -> int:
    return _integer(text, 0, 65535, "a port between 0 and 65535")


def _count(text: str) -> int:
    return _integer(text, 0, 1 << 31, "a number of 0 or more")


def _positive(text: str) -> int:
    return _integer(text, 1, 1 << 31, "a number of 1 or more")


def _status(text: str) -> int:
    return _integer(text, 400, 599, "an HTTP error between 400 and 599")


def _close_code(text: str) -> int:
    # 1005 and 1006 are never sent, 1015 neither (RFC 6455 §7.4.1).
    value = _integer(text, 1000, 4999, "a WebSocket close code between 1000 and 4999")
    if value in {1004, 1005, 1006, 1015} or 1015 < value < 3000:
        raise argparse.ArgumentTypeError(f"{text} is a close code that no server may send")
    return value


def _names(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(","))
    if not all(names):
        raise argparse.ArgumentTypeError("a user name is empty: write names with commas between")
    return names
