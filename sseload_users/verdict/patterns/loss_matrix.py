"""Patterns in which connections lack which codes."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sseload_users.core.formatting import clean, count, number, share
from sseload_users.verdict.patterns import in_common
from sseload_users.verdict.patterns.buffering import most_held_back
from sseload_users.verdict.symptoms import CodeSymptoms, Finding, Place, Symptoms

#: Share of the losses that a pattern must explain, and of what went right that it may not touch.
EXPLAINS, SPARES = 0.8, 0.05
#: Fewest codes with losses that show a pattern.
_MIN_CODES = 3
#: Fewest connections of which a few can be told from instances.
_MIN_CONNECTIONS = 5
#: Smallest share of the connections that is a group and not a few bad ones.
_GROUP = 0.025
#: Smallest share of connections that get nothing which is taken for instances: where codes are
#: handed in at one instance, those at the others get nothing, at least about half.
_STARVED = 0.35
#: Smallest size of a group that gets nothing beside several that get codes, compared with their
#: mean size, of which the same is thought.
_ALIKE = 0.5
#: Smallest share of the connections without further codes that received some before.
_SEEN_CUT = 0.3
#: How many channels a sentence names.
_NAMED = 5
#: Most groups of connections that are taken for instances.
_MAX_INSTANCES = 8

#: What separate instances suggest.
ISOLATED = (
    "The server runs as several processes or nodes that do not pass messages on to each other: "
    "give it a shared broker (Redis adapter, message queue, publish/subscribe), or one process."
)

_ONE_WORKER = (
    " Those that got nothing are all of one worker; repeat the run with another number of workers "
    "to see whether that is a coincidence."
)


@dataclass(frozen=True, slots=True)
class LossMatrix:
    """Which connections of the sample lack which codes.

    Those that read slowly are left out: what they lack may still wait for them.

    Attributes:
        connections: their number.
        owed: for each connection, the codes that it was owed and that somebody lacks.
        lacking: for each connection, those of them that it lacks.
        codes: the codes that somebody lacks, in order.
        steady: the connections that were owed all of these codes, as far as is known.
        all_codes: the codes that are owed, from the first one on of which the losses are known.
        partial: whether there were codes before these.
    """

    connections: int
    owed: Mapping[Place, frozenset[int]]
    lacking: Mapping[Place, frozenset[int]]
    codes: tuple[int, ...]
    steady: frozenset[Place]
    all_codes: tuple[CodeSymptoms, ...]
    partial: bool

    @classmethod
    def of(cls, symptoms: Symptoms) -> LossMatrix:
        """Return the matrix of a run."""
        codes = [code for code in symptoms.codes if code.owed]
        since = max((each.first_kept for each in symptoms.workers.values()), default=0)
        known = tuple(code for code in codes if code.sequence >= since)
        sequences = {code.sequence for code in known}
        owed: dict[Place, set[int]] = defaultdict(set)
        lacking: dict[Place, set[int]] = defaultdict(set)
        connections, steady = 0, set[Place]()
        for worker, evidence in symptoms.workers.items():
            # A worker tells only of codes that its own connections lack.
            told = sequences & evidence.owed.keys()
            for sequence in told:
                for place in in_common.bits(evidence.owed[sequence] & ~evidence.slow):
                    owed[worker, place].add(sequence)
                for place in in_common.bits(evidence.lacking[sequence] & ~evidence.slow):
                    lacking[worker, place].add(sequence)
            own = [place for place in evidence.users if not evidence.slow >> place & 1]
            connections += len(own)
            steady.update(
                (worker, place) for place in own if len(owed.get((worker, place), ())) == len(told)
            )
        return cls(
            connections,
            {place: frozenset(codes) for place, codes in owed.items()},
            {place: frozenset(lacking[place]) for place in owed},
            tuple(sorted({code for codes in owed.values() for code in codes})),
            frozenset(steady),
            known,
            symptoms.partial or len(known) < len(codes),
        )

    @property
    def losses(self) -> int:
        """The number of pairs that are lacking."""
        return sum(map(len, self.lacking.values()))


def isolated_instances(symptoms: Symptoms, matrix: LossMatrix) -> Finding | None:
    """Find groups of connections that each get other codes: instances without a shared broker."""
    if len(matrix.codes) < max(_MIN_CODES, EXPLAINS * len(matrix.all_codes)):
        return None  # with separate instances, nearly every code is lost to some
    whole = matrix.steady
    groups: dict[frozenset[int], list[Place]] = defaultdict(list)
    for place in whole:
        groups[matrix.lacking.get(place, frozenset())].append(place)
    large = [
        (lacking, places)
        for lacking, places in groups.items()
        if len(places) >= max(2, _GROUP * len(whole))
    ]
    grouped = sum(len(places) for _, places in large)
    if not 2 <= len(large) <= _MAX_INSTANCES or grouped < (1 - SPARES) * len(whole):
        return None
    reached = Counter(sum(code not in lacking for lacking, _ in large) for code in matrix.codes)
    if reached[1] < (1 - SPARES) * len(matrix.codes):
        return None
    # No code may have been handed in at an instance, as a publisher keeps its connection.
    fed = [places for lacking, places in large if len(lacking) < len(matrix.codes)]
    starved = [
        place for lacking, places in large if len(lacking) == len(matrix.codes) for place in places
    ]
    enough = _STARVED * len(whole) if len(fed) < 2 else _ALIKE * sum(map(len, fed)) / len(fed)
    everything = len(matrix.codes) >= (1 - SPARES) * len(matrix.all_codes)
    shared = in_common.shared(symptoms, starved)
    # As workers connect in turn, a balancer that takes its instances in turn may give one to each.
    by_turns = (
        shared is not None
        and shared[0] == "worker"
        and in_common.look_like_others(symptoms, starved)
    )
    if starved and (len(starved) < enough or not everything or not (shared is None or by_turns)):
        return None  # connections that miss what they miss whatever instance they are at
    explained = sum(len(lacking) * len(places) for lacking, places in large)
    sizes = sorted((len(places) for _, places in large), reverse=True)
    return Finding(
        "isolated_instances",
        f"Each code reached only one of {number(len(large))} groups of connections (of "
        f"{' and '.join(map(number, sizes))} in the sample), and all of that group.",
        explained / matrix.losses,
        {"groups": len(large), "codes": len(matrix.codes), "starved": len(starved)},
        f"{ISOLATED}{_ONE_WORKER}" if by_turns else ISOLATED,
    )


def same_connections(symptoms: Symptoms, matrix: LossMatrix) -> Finding | None:
    """Find a few connections that miss nearly everything, and what they have in common."""
    total = len(matrix.all_codes)
    if total < _MIN_CODES or not matrix.losses:
        return None
    bad = [
        place
        for place, lacking in matrix.lacking.items()
        if len(lacking) >= 0.9 * total and len(matrix.owed[place]) >= 0.9 * total
    ]
    explained = sum(len(matrix.lacking[place]) for place in bad)
    everybody = matrix.connections
    good_losses = matrix.losses - explained
    good_owed = (everybody - len(bad)) * total
    if (
        not bad
        or everybody < _MIN_CONNECTIONS
        or len(bad) > 0.5 * everybody
        or explained < EXPLAINS * matrix.losses
        or good_losses > SPARES * good_owed
    ):
        return None
    shared = in_common.shared(symptoms, bad)
    latest = f", in the latest {number(total)} codes" if matrix.partial else ""
    common = "" if shared is None else f"; they have the same {shared[0]}, {shared[1]}"
    return Finding(
        "same_connections",
        f"{count(len(bad), 'connection')} of {number(everybody)} in the sample got nothing of what "
        f"the others got{latest}{common}.",
        explained / matrix.losses,
        {
            "connections": len(bad),
            "sample": everybody,
            **dict([shared] if shared else []),
        },
        _where_to_look(shared, len(bad), everybody),
    )


def _where_to_look(shared: tuple[str, str] | None, bad: int, of: int) -> str:
    """Return what to look at where a few connections get nothing.

    Args:
        shared: what they share, and its value; None without that.
        bad: their number.
        of: number of all connections.
    """
    if shared is not None:
        if shared[0] == "worker":
            return "A server does not know workers: look at this one's log, machine and network."
        return f"Look at what is special about this {shared[0]} on the server."
    hint = (
        "Look at these connections on the server: are they subscribed, allowed to listen, and "
        "where the server looks for them? connections.csv names them."
    )
    # Three standard deviations of how many of them chance sends to one of two instances.
    if bad < of / 2 - 1.5 * math.sqrt(of):
        return hint
    return f"{hint} Or a balancer sent them to an instance that does not get these codes."


def by_channel(symptoms: Symptoms, matrix: LossMatrix) -> Finding | None:
    """Find that the losses are in a few of the channels."""
    del matrix
    owed = {name: pairs for name, (pairs, _) in symptoms.channels.items() if pairs}
    lost = {name: symptoms.channels[name][1] for name in owed}
    total = sum(lost.values())
    bad = [name for name in owed if lost[name] >= 0.5 * owed[name]]
    explained = sum(lost[name] for name in bad)
    if (
        not bad
        or len(bad) > 0.5 * len(owed)
        or explained < EXPLAINS * total
        or total - explained > SPARES * (sum(owed.values()) - sum(owed[name] for name in bad))
    ):
        return None
    named = ", ".join(clean(name) for name in sorted(bad)[:_NAMED])
    further = "" if len(bad) <= _NAMED else f" and {number(len(bad) - _NAMED)} more"
    many = "channel" if len(bad) == 1 else "channels"
    return Finding(
        "by_channel",
        f"{share(explained, total)} of the losses are in {number(len(bad))} of "
        f"{count(len(owed), 'channel')}: {many} {named}{further}.",
        explained / total,
        {"channels": len(bad), "of": len(owed), "names": named},
        "Look at what is special about them on the server: their size, the node or partition that "
        "holds them, or their permissions.",
    )


def held_back(symptoms: Symptoms, matrix: LossMatrix) -> Finding | None:
    """Find that only the last codes are missing, which a buffer on the way may still hold."""
    most = most_held_back(symptoms)
    order = [code.sequence for code in matrix.all_codes]
    tails = [tail for tail in _tails(order, matrix) if tail <= most]
    if not tails or sum(tails) < EXPLAINS * matrix.losses:
        return None
    return Finding(
        "held_back",
        f"{count(len(tails), 'connection')} in the sample lacked only the last codes, "
        f"{number(max(tails))} at most: no more than arrive together, so a buffer on the way may "
        "still hold them.",
        sum(tails) / matrix.losses,
        {"connections": len(tails), "codes": max(tails)},
        "Remove what buffers the stream: real clients wait for these messages, too.",
    )


def _tails(order: Sequence[int], matrix: LossMatrix) -> Iterator[int]:
    """Yield how many of the last codes a connection lacks, if it has all before; for each.

    Args:
        order: the codes that are owed, in order.
        matrix: what is lacking.
    """
    for lacking in matrix.lacking.values():
        if not lacking:
            continue
        first = next((at for at, sequence in enumerate(order) if sequence in lacking), 0)
        if first > 0 and lacking.issuperset(order[first:]):
            yield len(order) - first


def silent_cut(_: Symptoms, matrix: LossMatrix) -> Finding | None:
    """Find connections that received nothing more from one moment on, and were never closed."""
    order = [code.sequence for code in matrix.all_codes]
    if len(order) < _MIN_CODES + 2:
        return None
    begins = [len(order) - tail for tail in _tails(order, matrix) if tail >= 2]
    # Some may have been cut before the first code.
    never = sum(lacking.issuperset(order) for lacking in matrix.lacking.values())
    if len(begins) >= _SEEN_CUT * (len(begins) + never):
        begins += [0] * never
    explained, cut = sum(len(order) - first for first in begins), len(begins)
    if cut < 1 or explained < EXPLAINS * matrix.losses:
        return None
    sent_s = [code.sent_s for code in matrix.all_codes]
    first_s, last_s = (sent_s[at] for at in (min(begins), max(begins)))
    when = f"{first_s:.0f} s" if last_s - first_s < 1 else f"{first_s:.0f} to {last_s:.0f} s"
    return Finding(
        "silent_cut",
        f"{count(cut, 'connection')} in the sample received nothing more from {when} after the "
        "run's start on, and were not closed.",
        explained / matrix.losses,
        {"connections": cut, "from_s": round(first_s, 1), "to_s": round(last_s, 1)},
        "Something on the way dropped these connections without closing them (a NAT, balancer or "
        "firewall), or the server stopped sending to them: look for full buffers, a dead worker "
        "process, and timeouts of idle connections.",
    )


def first_seconds(symptoms: Symptoms, matrix: LossMatrix) -> Finding | None:
    """Find codes that are missing in the first seconds after subscribing."""
    del matrix
    owed, lacking = _ages(symptoms)
    total = sum(lacking)
    later = sum(each.lacking_later for each in symptoms.workers.values())
    if total < _MIN_CODES or later > (1 - EXPLAINS) * total:
        return None  # a session that has received a code is subscribed
    for at, bound_s in enumerate(_BOUNDS_S):
        young, young_owed = sum(lacking[: at + 1]), sum(owed[: at + 1])
        old, old_owed = total - young, sum(owed) - young_owed
        if (
            young >= EXPLAINS * total
            and young >= _YOUNG * young_owed
            and _from_the_beginning(owed[:at], lacking[:at])
            and old_owed >= 20
            and old <= SPARES * old_owed
        ):
            return Finding(
                "first_seconds",
                f"{share(young, total)} of what is missing was sent within {bound_s:g} s after "
                f"the session was subscribed; later, {share(old, old_owed)} is missing.",
                young / total,
                {"seconds": bound_s, "lacking": young, "owed": young_owed},
                "The server confirms a subscription before it is in effect, or the profile does "
                "not wait for the confirmation: see [confirm], and --settle.",
            )
    return None


def _from_the_beginning(owed: Sequence[int], lacking: Sequence[int]) -> bool:
    """Whether most of what was sent at these ages is missing, at each of them.

    Otherwise, sessions that were well at first lack what was sent somewhat later.
    """
    return all(
        lost >= 0.5 * due for due, lost in zip(owed, lacking, strict=True) if due >= _MIN_PAIRS
    )


#: Fewest pairs of an age that say something about it.
_MIN_PAIRS = 5
#: Smallest share of what new sessions were owed that is missing: the time in question may end
#: early in the last of the steps of these ages.
_YOUNG = 0.35
#: Ages, in seconds, up to which a session counts as new.
_BOUNDS_S = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


def _ages(symptoms: Symptoms) -> tuple[list[int], list[int]]:
    workers = symptoms.workers.values()
    return (
        [sum(each) for each in zip(*(worker.ages_owed for worker in workers), strict=True)],
        [sum(each) for each in zip(*(worker.ages_lacking for worker in workers), strict=True)],
    )
