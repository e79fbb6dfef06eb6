"""What connections have in common."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from sseload_users.verdict.symptoms import Place, Symptoms

#: Largest share of the other connections that may have it, too.
_SPARES = 0.05


def shared(symptoms: Symptoms, bad: list[Place]) -> tuple[str, str] | None:
    """Return what the bad connections share, and few others: a name and its value."""
    if len(bad) < 2:
        return None
    for name, values in _labels(symptoms).items():
        found = Counter(values.get(place, "") for place in bad)
        value, most = found.most_common(1)[0]
        others = sum(each == value for each in values.values()) - most
        if value and most == len(bad) and others <= _SPARES * max(1, len(values) - len(bad)):
            return name, value
    return None


def look_like_others(symptoms: Symptoms, bad: list[Place]) -> bool:
    """Whether a server sees connections come from addresses from which others come, too."""
    sources = _labels(symptoms)["source address"]
    others = {source for place, source in sources.items() if place not in bad}
    return all(sources.get(place, "") in others - {""} for place in bad)


def _labels(symptoms: Symptoms) -> dict[str, dict[Place, str]]:
    """Return what connections may have in common: by its name, the value for each."""
    labels: dict[str, dict[Place, str]] = {
        name: {} for name in ("user", "channel", "source address", "worker")
    }
    for worker, evidence in symptoms.workers.items():
        for place, user in evidence.users.items():
            labels["user"][worker, place] = user
            labels["worker"][worker, place] = worker
        for place, channel in evidence.channels.items():
            labels["channel"][worker, place] = channel
        for source, connections in evidence.sources.items():
            labels["source address"].update(((worker, each), source) for each in bits(connections))
    return labels


def bits(connections: int) -> Iterator[int]:
    """Yield the numbers of the connections in a set, the lowest first."""
    while connections:
        lowest = connections & -connections
        yield lowest.bit_length() - 1
        connections ^= lowest
