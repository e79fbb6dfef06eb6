"""Faults to plant, and runs without a fault that has a shape."""

from __future__ import annotations

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


#: Connections start over two seconds, so that an age and a moment differ.
_SLOWLY = ("--settle", "0.1", "-r", "10")
_AGAIN = (*_SLOWLY, "--reconnect")
_ROOMS = ("--target", "rooms", "--channels", "4")
_LATER = ("--delivery-timeout", "6")

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
    Plant("a mute room", "by_channel", options=_ROOMS,
          harm=Harm(request=b"channel=c2", silent_after_s=1e-9)),
    Plant("silent from an age on", "silent_cut", harm=Harm(share=0.3, silent_after_s=1.2)),
    Plant("silent target", "silent_cut",
          servers=(("--drop", "0.3", "--drop-how", "silent", "--drop-after", "6"),)),
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
    Plant("too slow", "falling_behind", ("serial_fanout",),
          servers=(("--cost-per-delivery", "0.02"),), options=_LATER),
    # Too few codes come in time to show a trend.
    Plant("too slow for the timeout", "", ("serial_fanout", "falling_behind"),
          servers=(("--cost-per-delivery", "0.02"),)),
    Plant("serial", "serial_fanout", servers=(("--cost-per-delivery", "0.002"),)),
    Plant("twice", "duplicates_by_namespace", servers=(("--duplicate", "1"),)),
    Plant("a full server", "admission", servers=(("--max-connections", "8"),)),
    Plant("nodes that do not share sessions", "sticky_sessions", ("isolated_instances",),
          servers=((), ()), transports='["polling", "websocket"]'),
)  # fmt: skip
