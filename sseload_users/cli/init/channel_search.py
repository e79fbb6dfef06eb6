"""Find out which word names a channel: clients of two others, and a code to one of them."""

from __future__ import annotations

import enum
from dataclasses import replace
from pathlib import Path

import gevent

from sseload_users.cli.check_output import StepFailed
from sseload_users.cli.init import questions
from sseload_users.cli.init.channels import CHANNEL, channel_names, names_channel, with_channel
from sseload_users.cli.init.draft import Draft
from sseload_users.cli.init.output import Output, WatchFailed
from sseload_users.cli.init.probe import Probe
from sseload_users.core.errors import ConfigError
from sseload_users.core.formatting import clean
from sseload_users.options import Options
from sseload_users.transports import ConnectFailed

#: The channels, named as in a run with --channels 2, and the clients of both.
_CHANNELS, _CLIENTS = ("c1", "c2"), 4
#: Seconds for subscriptions to take effect, and for a code to come where it does not belong.
_SETTLE_S, _LEAK_S = 0.5, 0.3
#: Most words that are tried.
_MOST_NAMES = 3


class TrialResult(enum.Enum):
    """What a trial showed of a word."""

    CHANNEL = "a code to a channel came to its clients alone"
    NO_CHANNEL = "it came to others, too"
    REFUSED = "the server does not take other names"


class ChannelSearch:
    """Looks for the name of a channel in a draft, and puts `{channel}` in its place.

    Args:
        draft: the profile that is being written; a code has come by it.
        given: how to reach the server.
        host: its URL.
        folder: for files that are needed meanwhile.
        output: prints what was found.
    """

    def __init__(
        self, draft: Draft, given: Options, host: str, folder: Path, output: Output
    ) -> None:
        self._draft = draft
        self._given = given
        self._host = host
        self._folder = folder
        self._output = output

    def run(self, name: str = "") -> None:
        """Find the name, and change the draft.

        Args:
            name: the channel's name, if it is known; empty to try words that may be one.

        Raises:
            WatchFailed: the name is not where it should be.
        """
        tables = self._draft.tables
        if "audience" in tables or CHANNEL in str(tables):
            # A profile to begin with knows better.
            return
        if name:
            self._check(name)
            self._note(name, self._try(name))
            return
        found = channel_names(tables)
        for each in [*found][:_MOST_NAMES]:
            result = self._try(each)
            may_be = result is TrialResult.REFUSED and found[each]
            if result is TrialResult.CHANNEL or (may_be and questions.ask_whether_channel(each)):
                self._note(each, result)
                return
            if may_be:
                self._output.step(
                    "channel",
                    f"{each}: clients and codes name it, but the server does not take other names. "
                    f"If it is a channel of several, give --channel {each}.",
                )

    def _check(self, name: str) -> None:
        subscribing, sending = names_channel(self._draft.tables, name)
        if subscribing and sending:
            return
        lacking = {"what clients send to subscribe": subscribing, "the request for a code": sending}
        where = " or in ".join(each for each, there in lacking.items() if not there)
        raise WatchFailed(
            f"--channel {clean(name)}: the name is not in {where}; it must be in both, so that "
            "codes go to their channel."
        )

    def _note(self, name: str, result: TrialResult) -> None:
        """Change the draft, and print why."""
        self._draft.tables = with_channel(self._draft.tables, name)
        self._draft.comments["values"] = (
            "The channel of all clients, unless --channels N spreads them over c1 to cN."
        )
        if result is TrialResult.CHANNEL:
            said = f"a code to channel {_CHANNELS[0]} came to its clients alone (--channels N)"
        else:
            said = (
                f"{{channel}} stands for it, but in a trial with {' and '.join(_CHANNELS)}, "
                f"{result.value}. A users file can name the server's own: sseload docs audiences "
                "shows how"
            )
        self._output.step("channel", f"{name}: {said}")

    def _try(self, name: str) -> TrialResult:
        draft = self._draft.copy(with_channel(self._draft.tables, name))
        return _trial(draft, self._given, self._host, self._folder)


def _trial(draft: Draft, given: Options, host: str, folder: Path) -> TrialResult:
    """Return whether a code goes to its channel alone.

    Args:
        draft: with `{channel}`.
        given: how to reach the server.
        host: its URL.
        folder: for files that are needed meanwhile.
    """
    try:
        probe = Probe(draft, replace(given, channels=len(_CHANNELS)), host, folder)
    except ConfigError:
        return TrialResult.NO_CHANNEL
    try:
        probe.open(_CLIENTS)
        gevent.sleep(_SETTLE_S)
        if probe.closed:
            return TrialResult.REFUSED
        (sent,) = probe.send(draft, channel=_CHANNELS[0], wanted=_CLIENTS // len(_CHANNELS))
        gevent.sleep(_LEAK_S)
    except (ConnectFailed, StepFailed):
        return TrialResult.REFUSED
    finally:
        probe.close()
    found = probe.who_has(sent.text)
    if sent.cause is not None or not any(found):
        return TrialResult.REFUSED
    members = [number % len(_CHANNELS) == 0 for number in range(_CLIENTS)]
    return TrialResult.CHANNEL if found == members else TrialResult.NO_CHANNEL
