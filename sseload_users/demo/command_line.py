"""The command line of ``sseload demo``: one function per group of options."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NoReturn, get_args

from sseload_users.core.errors import ConfigError
from sseload_users.demo import option_types
from sseload_users.demo.backplane import BackplaneKind


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message[:1].upper()}{message[1:]}; see --help.")


def parser() -> argparse.ArgumentParser:
    """Return the parser.

    It raises ConfigError, with one sentence, for an invalid command line. The defaults that
    depend on ``--as`` are None.
    """
    made = _Parser(
        prog="sseload demo",
        description="The embedded target: a server that broadcasts codes over WebSocket, "
        "Socket.IO and server-sent events. A SHARE is a number between 0 and 1.",
        allow_abbrev=False,
    )
    _add_general(made)
    _add_nodes(
        made.add_argument_group(
            "nodes", "Several nodes of one server, which may restart in turn as in a deployment."
        )
    )
    _add_today(made.add_argument_group("today's code server (--as today)"))
    _add_tls(made.add_argument_group("TLS"))
    _add_capacity(
        made.add_argument_group(
            "capacity",
            "Connections of all transports count, at each node by itself; 0 is no limit.",
        )
    )
    _add_heartbeats(made.add_argument_group("heartbeats and tokens"))
    _add_delivery_faults(made.add_argument_group("delivery faults"))
    _add_channel_faults(made.add_argument_group("channel faults"))
    _add_connection_faults(made.add_argument_group("connection faults"))
    _add_ingest_faults(made.add_argument_group("ingest faults"))
    return made


def _add_general(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    add(
        "--port",
        type=option_types.port,
        default=0,
        help="port to listen on, with --nodes that of the first node, and the next ones for the "
        "others; 0, the default, picks free ones",
    )
    add(
        "--users",
        type=option_types.names,
        default=("loadtest", "alice", "bob"),
        metavar="A,B,…",
        help="known user names (default: loadtest,alice,bob)",
    )
    add(
        "--as",
        choices=("guide", "today"),
        default="guide",
        help="guide: the code server as the guide describes it, plus /ws/ingest, plain WebSocket "
        "and plain event streams; today: the same server exactly as it runs today "
        "(default: guide)",
    )
    add(
        "--ingest-token",
        metavar="TOKEN",
        help="the only valid token for /ws/ingest (default: any)",
    )
    add("--exit-with-parent", action="store_true", help="exit at the end of standard input")
    add("--record", type=Path, metavar="FILE", help="write the ground-truth record, as JSON lines")
    add("--seed", type=int, default=0, metavar="N", help="seed of the faults (default: 0)")


def _add_nodes(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--nodes",
        type=option_types.positive,
        default=1,
        metavar="N",
        help="number of nodes, each at a port of its own (default: 1)",
    )
    add(
        "--backplane",
        choices=get_args(BackplaneKind),
        default="history",
        help="what the nodes share: history, the default: each code reaches the connections of "
        "all nodes, and any node replays what clients missed; live: codes, but each node has a "
        "history of its own, which a restart empties; none: a code reaches only the connections "
        "of its node",
    )
    add(
        "--restart-after",
        type=option_types.seconds_or_zero,
        default=0.0,
        metavar="SECONDS",
        help="restart each node once, in turn: the first one SECONDS after the first code, each "
        "further one SECONDS after the one before is back; 0, the default, for never",
    )
    add(
        "--restart-away",
        type=option_types.seconds_or_zero,
        default=2.0,
        metavar="SECONDS",
        help="time from the end of a node's sessions to its return (default: 2 s); event streams "
        "are told to reconnect only after it (retry)",
    )
    add(
        "--restart-how",
        choices=("close", "reset"),
        default="close",
        help="how a node ends its sessions: in order, or by a TCP reset (default: close)",
    )


def _add_today(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--origins",
        type=option_types.names,
        metavar="A,B,…",
        help="allowed origins; a Socket.IO client may also send none "
        "(default: https://codes.example)",
    )
    add(
        "--page-limit",
        type=option_types.count_and_seconds(60.0),
        metavar="N[:SECONDS]",
        help="answer at most N requests for /embed-stream per user in SECONDS (default: 60); "
        "0 is no limit (default: 25)",
    )


def _add_tls(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--tls-cert",
        type=Path,
        metavar="FILE",
        help="certificate chain, PEM; includes the private key unless --tls-key is given",
    )
    add("--tls-key", type=Path, metavar="FILE", help="private key, PEM")


def _add_capacity(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--max-connections",
        type=option_types.count,
        default=0,
        metavar="N",
        help="with N connections open, refuse further ones with HTTP 503",
    )
    add(
        "--mute-connections",
        type=option_types.count,
        default=0,
        metavar="N",
        help="with N connections open, accept TCP connections but answer no request",
    )
    add(
        "--memory-limit-connections",
        type=option_types.count,
        default=0,
        metavar="N",
        help="at N open connections, kill the server (SIGKILL), like a host that runs out of "
        "memory",
    )
    add(
        "--cost-per-delivery",
        type=option_types.seconds_or_zero,
        default=0.0,
        metavar="SECONDS",
        help="deliver to one subscriber after the other, SECONDS apart: a broadcast to N takes "
        "N times as long, and the next code waits for it",
    )
    add(
        "--wait-for-slow",
        action="store_true",
        help="deliver to one subscriber after the other, and wait until the kernel has taken each "
        "delivery: one that reads slowly holds up all others",
    )
    add(
        "--handshake-rate",
        type=option_types.count,
        default=0,
        metavar="N",
        help="refuse handshakes with HTTP 503 beyond N in a second; 0, the default, is no limit",
    )
    add(
        "--one-session",
        action="store_true",
        help="when a user connects again, end the user's earlier connections (close code 4409)",
    )
    add(
        "--max-streams",
        type=option_types.count,
        default=500,
        metavar="N",
        help="with N event streams open, answer further ones with HTTP 500 (default: 500)",
    )


def _add_heartbeats(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--ping-interval",
        type=option_types.seconds,
        default=25.0,
        metavar="SECONDS",
        help="Engine.IO ping interval (default: 25 s)",
    )
    add(
        "--ping-timeout",
        type=option_types.seconds,
        default=20.0,
        metavar="SECONDS",
        help="Engine.IO ping timeout (default: 20 s)",
    )
    add(
        "--sse-ping",
        type=option_types.seconds,
        default=10.0,
        metavar="SECONDS",
        help="interval between pings on event streams (default: 10 s)",
    )
    add(
        "--pong-timeout",
        type=option_types.seconds,
        default=120.0,
        metavar="SECONDS",
        help="after this time without /sse-pong, a stream gets no more codes (default: 120 s)",
    )
    add(
        "--token-lifetime",
        type=option_types.seconds,
        default=900.0,
        metavar="SECONDS",
        help="validity of a token of /embed-stream (default: 900 s)",
    )


def _add_delivery_faults(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    _add_share(group, "--lose", "share of deliveries never written")
    add(
        "--max-payload",
        type=option_types.count,
        default=0,
        metavar="BYTES",
        help="never write deliveries of more than BYTES; 0, the default, is no limit",
    )
    add(
        "--delay",
        type=option_types.share_and_seconds(None),
        default=(0.0, 0.0),
        metavar="SHARE:SECONDS",
        help="share of deliveries written SECONDS late",
    )
    _add_share(group, "--duplicate", "share of deliveries written twice")
    add(
        "--reorder",
        type=option_types.share_and_seconds(10.0),
        default=(0.0, 10.0),
        metavar="SHARE[:SECONDS]",
        help="share of deliveries held until after the connection's next code, or for SECONDS "
        "(default: 10)",
    )
    _add_share(group, "--garbage", "share of deliveries followed by something undecodable")
    add(
        "--garbage-how",
        choices=("message", "frame"),
        default="message",
        help="a broken message in a valid frame, or a broken frame (default: message)",
    )
    _add_share(group, "--foreign", "share of deliveries followed by a foreign code")
    add("--replay", action="store_true", help="send all earlier codes to late joiners")
    add(
        "--replay-all",
        action="store_true",
        help="send all earlier codes to each client that returns, whatever it has",
    )
    add("--lose-gap", action="store_true", help="send no earlier codes to clients that return")
    add(
        "--history",
        type=option_types.count,
        default=10_000,
        metavar="N",
        help="codes kept for clients that return with Last-Event-ID or an offset (default: 10000)",
    )


def _add_channel_faults(group: argparse._ArgumentGroup) -> None:
    _add_share(
        group,
        "--leak",
        "share of pairs of a code and a connection outside its channel that are written, too",
    )
    _add_share(group, "--wrong-room", "share of codes that go to another channel instead")
    _add_share(group, "--ignore-join", "share of joins of channels confirmed but not carried out")
    group.add_argument(
        "--late-join",
        type=option_types.share_and_seconds(None),
        default=(0.0, 0.0),
        metavar="SHARE:SECONDS",
        help="share of joins of channels confirmed SECONDS before they are carried out",
    )
    _add_share(group, "--ignore-leave", "share of leaves of channels confirmed but not carried out")


def _add_connection_faults(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    _add_share(group, "--drop", "share of connections dropped")
    add(
        "--drop-how",
        choices=("close", "reset", "silent"),
        default="close",
        help="close in order, reset by TCP, or stay open without further codes (default: close)",
    )
    add(
        "--drop-code",
        type=option_types.close_code,
        default=1001,
        metavar="CODE",
        help="WebSocket close code of dropped connections (default: 1001)",
    )
    add(
        "--drop-after",
        type=option_types.positive,
        default=1,
        metavar="N",
        help="drop after N codes (default: 1)",
    )
    _add_share(group, "--refuse", "share of handshakes refused")
    add(
        "--refuse-how",
        choices=("503", "reset", "hang"),
        default="503",
        help="answer HTTP 503, reset by TCP, or never answer (default: 503)",
    )
    add("--accept-only", action="store_true", help="accept TCP connections but never answer")
    add(
        "--unhealthy-after",
        type=option_types.count,
        default=0,
        metavar="N",
        help="after N codes, answer the health check with HTTP 503",
    )
    add(
        "--asleep",
        type=option_types.seconds_or_zero,
        default=0.0,
        metavar="SECONDS",
        help="answer every request with HTTP 502 for the first SECONDS",
    )


def _add_ingest_faults(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--ingest-status",
        type=option_types.status,
        metavar="CODE",
        help="answer with this error and do not broadcast; over /ws/ingest, send an error event",
    )
    add(
        "--ingest-share",
        type=option_types.share,
        default=1.0,
        metavar="SHARE",
        help="share of ingests answered with --ingest-status (default: 1)",
    )
    add(
        "--ingest-delay",
        type=option_types.seconds_or_zero,
        default=0.0,
        metavar="SECONDS",
        help="wait before each answer, and so before each broadcast",
    )
    _add_share(group, "--ingest-lose", "share of ingests accepted but not broadcast")
    _add_share(group, "--ingest-hang", "share of ingests broadcast but never answered")
    _add_share(
        group, "--ingest-reset", "share of ingests broadcast, then reset by TCP without an answer"
    )
    add(
        "--dedupe",
        type=option_types.seconds_or_zero,
        metavar="SECONDS",
        help="accept but do not broadcast a code repeated within SECONDS "
        "(default: 0, or 5 with --as today)",
    )
    add(
        "--stop-after",
        type=option_types.count,
        default=0,
        metavar="N",
        help="kill the server (SIGKILL) after N codes",
    )


def _add_share(group: argparse._ArgumentGroup, flag: str, meaning: str) -> None:
    group.add_argument(flag, type=option_types.share, default=0.0, metavar="SHARE", help=meaning)
