"""Scripts of made-up runs: with the shape of a pattern, and with none."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping

from sseload_users.core.payload_sizes import PayloadSizes
from tests.diagnosis.synthetic import Client, Script


def _soon(draw: random.Random) -> float:
    """The latency of a server that is well, in seconds."""
    return draw.lognormvariate(-5.5, 0.4)


def _unless(lost: Callable[[int, float, Client], bool], draw: random.Random, noise: float = 0.0):  # type: ignore[no-untyped-def]
    """Arrivals of all codes but those that are lost, and of a few at random."""

    def arrivals(code: int, at_s: float, client: Client) -> Iterable[float]:
        if lost(code, at_s, client) or draw.random() < noise:
            return ()
        return (_soon(draw),)

    return arrivals


# Without a shape


def healthy(draw: random.Random) -> Script:
    return Script(_unless(lambda *_: False, draw), rooms=draw.choice([0, 0, 3]))


def losses(draw: random.Random) -> Script:
    share = draw.choice([0.002, 0.01, 0.05, 0.2, 0.5, 0.8, 0.97])
    return Script(
        _unless(lambda *_: draw.random() < share, draw),
        codes=draw.choice([6, 20, 60]),
        rooms=draw.choice([0, 0, 0, 4]),
        nodes=draw.choice([0, 0, 2, 3]),
        publishers=draw.choice([1, 1, 2, 3]),
        sizes=draw.choice(["", "100,3000"]),
    )


def unequal_losses(draw: random.Random) -> Script:
    """Each connection loses codes, some more than others."""
    shares = [draw.betavariate(1, draw.choice([4, 9])) for _ in range(30)]
    return Script(_unless(lambda _code, _at, client: draw.random() < shares[client.place], draw))


def bursts(draw: random.Random) -> Script:
    """Each connection loses a few codes in a row, at times of its own."""
    bad: dict[int, bool] = {}

    def lost(_code: int, _at: float, client: Client) -> bool:
        was = bad.get(client.place, False)
        bad[client.place] = draw.random() < (0.6 if was else 0.08)
        return bad[client.place]

    return Script(_unless(lost, draw), codes=40)


def drops(draw: random.Random) -> Script:
    mean_s, share = draw.choice([0.8, 2, 5]), draw.choice([0, 0, 0.1])
    return Script(
        _unless(lambda *_: draw.random() < share, draw),
        lifetime_s=lambda _: draw.expovariate(1 / mean_s),
        returns=draw.choice([None, 0.05, 0.5]),
        codes=draw.choice([10, 40]),
    )


def churn(draw: random.Random) -> Script:
    share = draw.choice([0, 0.05, 0.3])
    return Script(
        _unless(lambda *_: draw.random() < share, draw),
        lifetime_s=lambda _: draw.expovariate(0.5),
        released=True,
    )


def mixture(draw: random.Random) -> Script:
    """Losses, delays, further copies and drops, each at random."""
    lost, late, twice = (draw.choice([0, 0.05, 0.2, 0.4]) for _ in range(3))

    def arrivals(_code: int, _at: float, _client: Client) -> Iterable[float]:
        if draw.random() < lost:
            return
        yield (draw.uniform(0.1, 1.6) if draw.random() < late else _soon(draw))
        if draw.random() < twice:
            yield 0.02

    return Script(
        arrivals,
        lifetime_s=lambda _: draw.expovariate(draw.choice([0.05, 0.4])),
        slow_every=draw.choice([0, 5]),
        rooms=draw.choice([0, 0, 3]),
    )


SHAPELESS: tuple[Callable[[random.Random], Script], ...] = (
    healthy, losses, losses, unequal_losses, bursts, drops, churn, mixture, mixture,
)  # fmt: skip


# With the shape of a pattern, and a little noise


def isolated_instances(draw: random.Random) -> Script:
    many, turns = draw.choice([2, 3]), draw.choice([0, 1])
    # Codes are handed in at each of them in turn, or at one.
    return Script(_unless(lambda code, _, client: (turns * code + client.place) % many > 0, draw))


def same_connections(draw: random.Random) -> Script:
    bad = set(draw.sample(range(30), draw.choice([1, 3, 6])))
    return Script(_unless(lambda _code, _at, client: client.place in bad, draw, 0.002))


def by_channel(draw: random.Random) -> Script:
    room = draw.randrange(4)
    return Script(
        _unless(lambda _code, _at, client: client.room == room, draw, 0.005), rooms=4, codes=40
    )


def by_node(draw: random.Random) -> Script:
    many = draw.choice([2, 3])
    return Script(
        _unless(lambda code, _, client: (code - 1) % many != client.node, draw, 0.005), nodes=many
    )


def by_publisher(draw: random.Random) -> Script:
    many = draw.choice([2, 3])
    bad = draw.randrange(many)
    return Script(
        _unless(lambda code, *_: (code - 1) % many == bad and draw.random() < 0.95, draw, 0.005),
        publishers=many,
        codes=30,
    )


def by_size(draw: random.Random) -> Script:
    sizes = PayloadSizes.parse("100-3000")
    assert sizes is not None
    return Script(
        _unless(lambda code, *_: sizes.size_of(code) > 1500, draw, 0.005),
        sizes="100-3000",
        codes=40,
    )


def silent_cut(draw: random.Random) -> Script:
    since = {place: draw.uniform(2.0, 4.0) for place in draw.sample(range(30), 7)}
    return Script(
        _unless(lambda _code, at_s, client: at_s > since.get(client.place, 1e9), draw, 0.002),
        codes=30,
    )


def first_seconds(draw: random.Random) -> Script:
    deaf_s = draw.choice([0.3, 0.8])
    return Script(
        _unless(lambda _code, at_s, client: at_s < client.began_s + deaf_s, draw, 0.005),
        lifetime_s=lambda _: draw.expovariate(0.4),
        released=True,
        codes=50,
    )


def one_moment(draw: random.Random) -> Script:
    begin_s = draw.uniform(1.7, 4.0)
    return Script(
        _unless(lambda _code, at_s, _client: begin_s < at_s < begin_s + 0.9, draw, 0.002), codes=30
    )


def session_age(draw: random.Random) -> Script:
    age_s = draw.choice([1.5, 2.2])
    return Script(
        _unless(lambda *_: False, draw),
        lifetime_s=lambda _: age_s + draw.uniform(0, 0.04),
        ramp_s=2.0,
        codes=30,
    )


def idle_cut(draw: random.Random) -> Script:
    gaps = [draw.random() < 0.5 for _ in range(200)]
    return Script(
        # Half of the connections get a code now and then.
        lambda code, _, client: (_soon(draw),) if gaps[(7 * code + client.place) % 200] else (),
        idle_s=1.3,
        ramp_s=2.0,
        codes=20,
        interval_s=0.7,
        rooms=0,
    )


def buffered(draw: random.Random) -> Script:
    every_s = draw.choice([0.5, 0.8])
    return Script(
        lambda _code, at_s, client: (every_s - (at_s + client.place * 0.03) % every_s,), codes=40,
        interval_s=0.1,
    )  # fmt: skip


def falling_behind(draw: random.Random) -> Script:
    step_s = draw.choice([0.03, 0.04])
    return Script(lambda code, *_: (step_s * code + 0.1 * _soon(draw),), codes=24)


def serial_fanout(draw: random.Random) -> Script:
    step_s = draw.choice([0.0004, 0.002])
    return Script(lambda _code, _at, client: (0.001 + step_s * client.place + 0.01 * _soon(draw),))


def slow_consumer_blocks(draw: random.Random) -> Script:
    del draw

    def arrivals(code: int, _at: float, client: Client) -> Iterable[float]:
        waiting_s = 0.08 * max(0, code - 4)
        return (waiting_s + 0.6 if client.slow else waiting_s + 0.004,)

    return Script(arrivals, slow_every=6, codes=12)


def duplicates_by_namespace(draw: random.Random) -> Script:
    times = draw.choice([2, 3])
    return Script(lambda *_: tuple(_soon(draw) + 0.01 * at for at in range(times)))


def duplicates_on_reconnect(draw: random.Random) -> Script:
    if draw.random() < 0.5:
        # Each return adds a subscription.
        return Script(
            lambda _code, _at, client: tuple(0.004 + 0.002 * at for at in range(client.sessions)),
            lifetime_s=lambda _: 1.5 + draw.expovariate(0.6),
            codes=30,
        )
    return Script(
        _unless(lambda *_: False, draw),
        lifetime_s=lambda _: 1.5 + draw.expovariate(0.6),
        again=True,
        codes=30,
    )


SHAPES: Mapping[str, Callable[[random.Random], Script]] = {
    each.__name__: each
    for each in (
        isolated_instances, same_connections, by_channel, by_node, by_publisher, by_size,
        silent_cut, first_seconds, one_moment, session_age, idle_cut, buffered, falling_behind,
        serial_fanout, slow_consumer_blocks, duplicates_by_namespace, duplicates_on_reconnect,
    )
}  # fmt: skip
