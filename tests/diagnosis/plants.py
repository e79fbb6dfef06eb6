"""Faults to plant, and runs without a fault that has a shape."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.support.bad_relays import Harm


@dataclass(frozen=True)
class Plant:
    """One arrangement of servers, with what the diagnosis should say.

    Attributes:
        name: what is planted.
        pattern: the pattern that has to be named; empty: none.
        also: further patterns that are true of it.
        servers: options of each embedded target; several stand behind a balancer.
        harm: what a relay does to connections.
        options: of the run, beside the usual ones.
        codes: how many, over `duration_s`.
        duration_s: of the schedule.
        pause: when to stop the target for how long, in seconds after the first code.
        transports: of a Socket.IO profile; empty: plain WebSocket.
        nodes: the servers, and the relay, are the nodes that the run is told of.
        stall: when to stop a process of the generator for how long, like ``pause``.
        render: how a server that collects the codes of 0.1 s puts them into a message; None for
            embedded targets.
        flush_every: see `CoalescingServer`; with it, codes come in an event stream.
    """

    name: str
    pattern: str = ""
    also: tuple[str, ...] = ()
    servers: tuple[tuple[str, ...], ...] = ((),)
    harm: Harm | None = None
    options: tuple[str, ...] = ()
    codes: int = 16
    duration_s: float = 3.0
    pause: tuple[float, float] = (0.0, 0.0)
    transports: str = ""
    nodes: bool = False
    stall: tuple[float, float] = (0.0, 0.0)
    render: Callable[[Sequence[str]], str] | None = None
    flush_every: int = 0


def _changed(change: Callable[[str], str]) -> Callable[[Sequence[str]], str]:
    return lambda codes: json.dumps({"code": "|".join(map(change, codes))})


#: Connections start over two seconds, so that an age and a moment differ.
_SLOWLY = ("--settle", "0.1", "-r", "10")
_AGAIN = (*_SLOWLY, "--reconnect")
_ROOMS = ("--target", "rooms", "--channels", "4")
_LATER = ("--delivery-timeout", "6")
_STORM = ("--storm-after", "1")

PLANTS = (
    Plant("healthy"),
    Plant("healthy, churn", options=("--session-length", "1")),
    Plant("healthy, rooms", options=_ROOMS),
    Plant("healthy, storm", options=("--storm-after", "1.2")),
    Plant("few losses", servers=(("--lose", "0.02"),)),
    Plant("losses", servers=(("--lose", "0.2"),)),
    Plant("many losses", servers=(("--lose", "0.8"),)),
    Plant("losses in rooms", servers=(("--lose", "0.3"),), options=_ROOMS),
    Plant("losses and churn", servers=(("--lose", "0.1"),), options=("--session-length", "1")),
    Plant("delays", servers=(("--delay", "0.3:1.3"),)),
    Plant("random drops", harm=Harm(life_s=2.0)),
    Plant("random drops, reconnecting", harm=Harm(life_s=1.5), options=_AGAIN),
    Plant("drops and losses", servers=(("--lose", "0.1"),), harm=Harm(life_s=2), options=_AGAIN),
    Plant("a drop of some", servers=(("--drop", "0.3", "--drop-after", "5"),)),
    Plant("a drop of all", servers=(("--drop", "1", "--drop-after", "5"),),
          options=("--reconnect",)),
    Plant(
        "a mixture",
        servers=(("--lose", "0.1", "--duplicate", "0.2", "--delay", "0.2:1.2", "--drop", "0.2"),),
        options=("--reconnect",),
    ),
    Plant("two instances", "isolated_instances", servers=((), ())),
    Plant("three instances", "isolated_instances", servers=((), (), ())),
    Plant("mute connections", "same_connections", harm=Harm(share=0.15, silent_after_s=1e-9)),
    Plant("a mute source address", "same_connections",
          harm=Harm(source="127.0.0.3", silent_after_s=1e-9),
          options=("--source-addresses", "127.0.0.2,127.0.0.3,127.0.0.4,127.0.0.5")),
    Plant("a mute room", "by_channel", options=_ROOMS,
          harm=Harm(request=b"channel=c2", silent_after_s=1e-9)),
    Plant("silent from an age on", "silent_cut", harm=Harm(share=0.3, silent_after_s=2)),
    Plant("silent target", "silent_cut",
          servers=(("--drop", "0.3", "--drop-how", "silent", "--drop-after", "6"),)),
    Plant("two nodes", "by_node", servers=((), ()), nodes=True),
    Plant("a mute node", "by_node", nodes=True, harm=Harm(silent_after_s=1e-9)),
    Plant("one of two publishers", "by_publisher", servers=(("--ingest-lose", "0.5"),),
          options=("--publishers", "2"), codes=8),
    Plant("half of the codes", servers=(("--ingest-lose", "0.5"),)),
    Plant("large payloads", "by_size", servers=(("--max-payload", "1500"),),
          options=("--payload-bytes", "200-3000"), codes=24),
    Plant("upper case", "altered", render=_changed(str.upper)),
    Plant("cut off", "altered", render=_changed(lambda code: code[:-4])),
    Plant("white space", "altered", render=_changed(lambda code: f" {code} ")),
    Plant("quoted", "altered", render=_changed(json.dumps)),
    Plant("several in a message", "several_per_frame", codes=60,
          render=lambda codes: json.dumps({"code": codes[0], "further": codes[1:]})),
    # Codes that are late may come within one tick.
    Plant("one message a tick", "", ("several_per_frame",), render=_changed(str)),
    Plant("an unflushed stream", "unflushed_compression", render=_changed(str), flush_every=8,
          codes=32, duration_s=4, options=_LATER),
    Plant("a stream that is never flushed", "unflushed_compression", render=_changed(str),
          flush_every=10**6),
    Plant("a flushed stream", "", ("several_per_frame",), render=_changed(str), flush_every=1),
    Plant("confirmed early", "first_seconds", harm=Harm(deaf_s=1.2),
          codes=20, duration_s=4),
    Plant("confirmed early, churn", "first_seconds", harm=Harm(deaf_s=0.3),
          options=("--session-length", "1.5"), codes=40, duration_s=4),
    Plant("a failover", "one_moment", harm=Harm(lost=(1.5, 2.3)), codes=20, duration_s=4),
    Plant("a pause", "one_moment", pause=(1.5, 1.6), codes=40, duration_s=5,
          options=("--delivery-timeout", "0.7")),
    Plant("limited age", "session_age", harm=Harm(age_s=1.3), options=_AGAIN, codes=20,
          duration_s=4),
    Plant("idle timeout", "idle_cut", harm=Harm(idle_s=0.7), options=_AGAIN, codes=4,
          duration_s=5),
    Plant("buffering", "buffered", harm=Harm(hold_s=1.0), codes=40, duration_s=4),
    Plant("held back", "held_back", ("buffered",), harm=Harm(hold_bytes=500), codes=22,
          duration_s=4, options=("--delivery-timeout", "2.5")),
    Plant("too slow", "falling_behind", ("serial_fanout",),
          servers=(("--cost-per-delivery", "0.02"),), options=_LATER),
    # Too few codes come in time to show a trend.
    Plant("too slow for the timeout", "", ("serial_fanout", "falling_behind"),
          servers=(("--cost-per-delivery", "0.02"),)),
    Plant("serial", "serial_fanout", servers=(("--cost-per-delivery", "0.002"),)),
    Plant("serial, two nodes", "serial_fanout", ("by_node",), nodes=True, codes=24, duration_s=4,
          servers=(("--cost-per-delivery", "0.004"), ("--cost-per-delivery", "0.004"))),
    Plant("slow readers", "slow_consumer_blocks", servers=(("--wait-for-slow",),), codes=24,
          options=("--slow-share", "0.1", "--slow-rate", "4000", "--payload-bytes", "2000",
                   "--delivery-timeout", "9")),
    Plant("slow readers, queues", options=("--slow-share", "0.1", "--slow-rate", "4000",
                                           "--payload-bytes", "2000")),
    Plant("slow readers, a slow server", "falling_behind", ("serial_fanout",),
          servers=(("--cost-per-delivery", "0.02"),),
          options=(*_LATER, "--slow-share", "0.1", "--slow-rate", "20000")),
    Plant("a storm", "thundering_herd", servers=(("--handshake-rate", "20"),),
          options=(*_STORM, "-r", "8")),
    Plant("a herd of the server's", "thundering_herd",
          servers=(("--handshake-rate", "12", "--drop", "1", "--drop-after", "13"),),
          options=("--reconnect", "-r", "8"), codes=24, duration_s=4),
    Plant("a restart behind a proxy", harm=Harm(away=(1.5, 2.8)), options=("--reconnect",),
          codes=24, duration_s=4),
    Plant("everything again", "duplicates_on_reconnect", servers=(("--replay-all",),),
          options=("--target", "sse", "--storm-after", "1.2"), codes=24, duration_s=3),
    Plant("a stalled process", "generator", stall=(0.6, 2.5), codes=20),
    Plant("twice", "duplicates_by_namespace", servers=(("--duplicate", "1"),)),
    Plant("a full server", "admission", servers=(("--max-connections", "8"),)),
    Plant("nodes that do not share sessions", "sticky_sessions", ("isolated_instances",),
          servers=((), ()), transports='["polling", "websocket"]'),
)  # fmt: skip
