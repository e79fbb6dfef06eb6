"""The rule about channels: no code may reach a session outside its own."""

from __future__ import annotations

from sseload_users.core.audience_figures import LeakExample
from sseload_users.core.figures import Account
from sseload_users.core.formatting import clean, count, number, shorten
from sseload_users.verdict.reasons import Reason, make_reason

#: Most characters of a name in a sentence.
_MAX_NAME = 40

_EVERYBODY = (
    "Nearly every connection got the codes of nearly all channels: look whether the server reads "
    "the channel when clients subscribe, and whether it broadcasts to everybody."
)
_ELSEWHERE = (
    "The codes' own channels did not get them: look at how the server chooses the channel of what "
    "it publishes."
)
_PREFIX = (
    "The names of these channels begin alike: look for a comparison by prefix, or for a pattern "
    "that matches both."
)
_LEFT = (
    "These connections had left the channels a second before at least: look at how the server "
    "removes clients from a channel, and whether it confirms that before it is done."
)
_GENERAL = (
    "Look at how the server adds clients to a channel and removes them, for example after a "
    "reconnect or a change of rooms, and at keys under which it caches the members."
)


def judge_isolation(account: Account) -> Reason:
    """Return the reason about codes that reached sessions outside their channels."""
    leaked = account.deliveries.leaked
    if not leaked:
        sentence = "No code reached a session outside its channel."
    else:
        copies = count(leaked, "copy", "copies")
        sentence = f"{copies} of codes reached sessions outside the codes' channels"
        sentence += f"; {_example(account.leaks[0])}." if account.leaks else "."
    return make_reason(
        "isolation",
        "issues" if leaked else "good",
        sentence,
        measured=number(leaked),
        hint=_hint(account),
    )


def _example(leak: LeakExample) -> str:
    user = f" (user {_name(leak.username)})" if leak.username else ""
    worker = f" of {_name(leak.worker)}" if leak.worker not in ("", "local") else ""
    own = ", ".join(map(_name, leak.own_channels)) or "no channel"
    has_left = "had left it and " if leak.had_left else ""
    return (
        f"for example, code {number(leak.code)} of channel {_name(leak.channel)} reached "
        f"connection {number(leak.connection)}{user}{worker}, which {has_left}subscribes to {own}"
    )


def _hint(account: Account) -> str:
    """Return a hint that is true for all the examples."""
    leaks, rows = account.leaks, {each.name: each for each in account.channels}
    if not leaks or not rows:
        return _GENERAL
    everybody = account.connections.peak_open
    outside = sum(each.codes * max(everybody - each.connections, 0) for each in rows.values())
    if account.deliveries.leaked * 10 >= outside * 9 > 0:
        return _EVERYBODY
    own = [rows[leak.channel] for leak in leaks if leak.channel in rows]
    if own and all(each.owed and not each.received for each in own):
        return _ELSEWHERE
    if all(leak.had_left for leak in leaks):
        return _LEFT
    if all(any(_alike(leak.channel, each) for each in leak.own_channels) for leak in leaks):
        return _PREFIX
    return _GENERAL


def _alike(channel: str, other: str) -> bool:
    return channel.startswith(other) or other.startswith(channel)


def _name(text: str) -> str:
    return shorten(clean(text), _MAX_NAME)
