"""How codes go in over a connection: what is sent, and what the server says to it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from sseload_users.targets.identities import Identity
from sseload_users.targets.ingest import ConnectionIngest, says_code
from sseload_users.targets.messages import Said, countable, means, words_of
from sseload_users.targets.schema import Message, Refuse
from sseload_users.targets.spec import Spec
from sseload_users.targets.target import Target
from sseload_users.targets.template import names_in
from sseload_users.targets.texts import texts


@dataclass(frozen=True, slots=True)
class Sender:
    """Who hands codes in over one connection.

    Attributes:
        identity: as whom it is connected.
        captured: what the server has given to it.
    """

    identity: Identity
    captured: Mapping[str, str]


class Publishing:
    """How codes go in at a target over a connection of the publisher's.

    Args:
        target: as its listeners speak to it.
        ingest: what its profile says of codes.

    Attributes:
        line: the target as the publisher's connection speaks to it.
        expects: what answers a code.
        way: how codes go in, in words that may be shown.
    """

    def __init__(self, target: Target, ingest: ConnectionIngest) -> None:
        self.line = target.spoken_to_as(_line(target.profile.spec, ingest, target.ingest_names()))
        self.expects: Literal["ack", "message", "none"] = (
            "message" if isinstance(ingest.expect, Message) else ingest.expect
        )
        self.way = target.public()["ingest"]
        self._ingest = ingest
        self._expected = ingest.expect if isinstance(ingest.expect, Message) else None
        self._named = [each for each in ingest.refuse if says_code(each)]
        self._unnamed = [each for each in ingest.refuse if not says_code(each)]

    @classmethod
    def of(cls, target: Target) -> Publishing | None:
        """How codes go in over a connection; None where each goes in by a request."""
        ingest = target.profile.spec.ingest
        return cls(target, ingest) if isinstance(ingest, ConnectionIngest) else None

    @property
    def refuses(self) -> bool:
        """Whether the server may refuse codes by messages that are known."""
        return bool(self._ingest.refuse)

    def frame(self, code: str, sender: Sender, number: int) -> str:
        """The message that has a code broadcast.

        Args:
            code: its text.
            sender: whose connection it is.
            number: the message's on its connection, by which it is acknowledged.

        Raises:
            ConfigError: the profile needs a name that nobody gave.
            ConnectFailed: it needs one that the server did not give.
        """
        values = self._values(code, sender)
        asked = number if self.expects == "ack" else None
        return self.line.frame(self._ingest.send, values, "ingest.send", asked)

    def about(self, code: str, sender: Sender) -> CodeAnswers:
        """What the server may say of one code."""
        values = self._values(code, sender)
        return CodeAnswers(
            None if self._expected is None else self._expected.filled(values),
            tuple(each.filled(values) for each in self._named),
        )

    def refusal(self, what: Said, sender: Sender, codes: Collection[str] = ()) -> Refused | None:
        """Why, if a message refuses a code and does not say which.

        Args:
            what: the message.
            sender: whose connection it came by.
            codes: those that it may be about.
        """
        return self.refused(self._unnamed, what, sender, codes)

    def refused(
        self, refuses: Collection[Refuse], what: Said, sender: Sender, codes: Collection[str]
    ) -> Refused | None:
        """Why, if a message is one of those that refuse; for the rest see `refusal`."""

        def hide(text: str) -> str:
            return self.line.without_secrets(text, sender.identity, sender.captured.values())

        refuse = next((each for each in refuses if means(each, what)), None)
        if refuse is None:
            return None
        words = cause = words_of(refuse, what, hide)
        for code in codes:
            # Each code would make a cause of its own.
            cause = cause.replace(code, "…")
        cause = countable(cause)
        if not cause or "cause" in refuse.model_fields_set:
            cause = f"{refuse.cause}: {cause}" if cause else refuse.cause
        return Refused(cause, words)

    def _values(self, code: str, sender: Sender) -> dict[str, str]:
        return {**self.line.values(sender.identity, sender.captured), "code": code}


class Refused(NamedTuple):
    """Why a code was refused.

    Attributes:
        cause: short and countable.
        server_text: the server's own words; empty if there were none.
    """

    cause: str
    server_text: str = ""


@dataclass(frozen=True, slots=True)
class CodeAnswers:
    """The messages that answer one code.

    Attributes:
        expected: takes it; None where it is no message that does.
        refuses: refuse it, and say which it is.
    """

    expected: Message | None
    refuses: tuple[Refuse, ...]


def _line(spec: Spec, ingest: ConnectionIngest, names: Collection[str]) -> Spec:
    """What the profile's file would say if the publisher's connection were a listener's.

    Args:
        spec: the file.
        ingest: its table about codes.
        names: that headers ask for.
    """
    refuse = tuple(each for each in ingest.refuse if not says_code(each))
    if ingest.connect is None:
        return spec.model_copy(
            update={
                "lines": ingest.lines or spec.lines,
                "confirm": ingest.confirm or spec.confirm,
                "refuse": (*spec.refuse, *refuse),
                "reply": ingest.reply or spec.reply,
                "upkeep": ingest.upkeep or spec.upkeep,
            }
        )
    given = {name for each in spec.before for name in each.capture}
    needed = {name for each in texts(ingest) for name in names_in(each.value)} | {*names}
    return spec.model_copy(
        update={
            "transport": ingest.transport(spec.transport),
            "lines": ingest.lines,
            # A page that is asked for too often is refused: only where something needs it.
            "before": spec.before if given & needed else (),
            "connect": ingest.connect,
            "confirm": ingest.confirm,
            "refuse": refuse,
            "reply": ingest.reply,
            "upkeep": ingest.upkeep,
        }
    )
