"""Publishing over a connection: what is sent, and what the server answers."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from sseload_users.targets.code_message import code_message
from sseload_users.targets.filling import channel_values
from sseload_users.targets.identities import Identity
from sseload_users.targets.ingest import ConnectionIngestSpec, names_code
from sseload_users.targets.messages import ReceivedMessage, countable, matches, server_text_of
from sseload_users.targets.schema import MessageSpec, RefuseSpec
from sseload_users.targets.spec import ProfileSpec
from sseload_users.targets.target import Target
from sseload_users.targets.template import names_in
from sseload_users.targets.texts import texts


@dataclass(frozen=True, slots=True)
class Sender:
    """The publisher on one connection.

    Attributes:
        identity: the user that is connected.
        captured: values captured from the server, by name.
    """

    identity: Identity
    captured: Mapping[str, str]


class Publishing:
    """How codes are handed in at a target over a publisher's connection.

    Args:
        target: the target of the listeners.
        ingest: its profile's table about codes.

    Attributes:
        target: the same target for the publisher's connection.
        expects: what answers a code.
        way: how codes are handed in, in words and without secrets.
    """

    def __init__(self, target: Target, ingest: ConnectionIngestSpec) -> None:
        self.target = target.with_spec(
            _publisher_spec(target.profile.spec, ingest, target.ingest_names())
        )
        self.expects: Literal["ack", "message", "none"] = (
            "message" if isinstance(ingest.expect, MessageSpec) else ingest.expect
        )
        self.way = target.public()["ingest"]
        self._ingest = ingest
        self._expected = ingest.expect if isinstance(ingest.expect, MessageSpec) else None
        self._named = [each for each in ingest.refuse if names_code(each)]
        self._unnamed = [each for each in ingest.refuse if not names_code(each)]

    @classmethod
    def of(cls, target: Target) -> Publishing | None:
        """Return how a target takes codes over a connection; None if it takes requests."""
        ingest = target.profile.spec.ingest
        return cls(target, ingest) if isinstance(ingest, ConnectionIngestSpec) else None

    @property
    def refuses(self) -> bool:
        """Whether the profile describes messages that refuse codes."""
        return bool(self._ingest.refuse)

    def frame(
        self,
        code: str,
        sender: Sender,
        number: int,
        channel: str | None = None,
        payload_bytes: int = 0,
    ) -> str | bytes:
        """Return the message that has a code broadcast.

        Args:
            code: the code's text.
            sender: the publisher on the connection.
            number: ID for the acknowledgement.
            channel: the code's channel; None in a run without channels.
            payload_bytes: size to which it is padded; 0 for no padding.

        Raises:
            ConfigError: a name has no value.
            ConnectFailed: at "subscribe": the server did not give a value.
        """
        values = self._values(code, sender, channel)
        ack_id = number if self.expects == "ack" else None
        return code_message(self.target.filler, self._ingest, values, payload_bytes, ack_id)

    def answers_to(self, code: str, sender: Sender, channel: str | None = None) -> CodeAnswers:
        """Return the messages that can answer a code; the arguments are those of `frame`."""
        values = self._values(code, sender, channel)
        return CodeAnswers(
            None if self._expected is None else self._expected.filled(values),
            tuple(each.filled(values) for each in self._named),
        )

    def refusal(
        self, what: ReceivedMessage, sender: Sender, codes: Collection[str] = ()
    ) -> Refused | None:
        """Return the refusal in a message that names no code; None if it refuses none.

        Args:
            what: the message.
            sender: the publisher on the connection.
            codes: texts of the codes that it can concern.
        """
        return self.refused(self._unnamed, what, sender, codes)

    def refused(
        self,
        refuses: Collection[RefuseSpec],
        what: ReceivedMessage,
        sender: Sender,
        codes: Collection[str],
    ) -> Refused | None:
        """Return the refusal in a message if it is one of `refuses`; see `refusal`."""

        def hide(text: str) -> str:
            return self.target.redact(text, sender.identity, sender.captured.values())

        refuse = next((each for each in refuses if matches(each, what)), None)
        if refuse is None:
            return None
        words = cause = server_text_of(refuse, what, hide)
        for code in codes:
            # Otherwise each code would be a cause of its own.
            cause = cause.replace(code, "…")
        cause = countable(cause)
        if not cause or "cause" in refuse.model_fields_set:
            cause = f"{refuse.cause}: {cause}" if cause else refuse.cause
        return Refused(cause, words)

    def _values(self, code: str, sender: Sender, channel: str | None) -> dict[str, str]:
        own = channel_values(() if channel is None else (channel,))
        values = self.target.filler.values(sender.identity, sender.captured)
        return {**values, **own, "code": code}


class Refused(NamedTuple):
    """The refusal of a code.

    Attributes:
        cause: short and countable.
        server_text: the server's own words; empty if there were none.
    """

    cause: str
    server_text: str = ""


@dataclass(frozen=True, slots=True)
class CodeAnswers:
    """The messages that can answer a code.

    Attributes:
        expected: the message that accepts it; None if no message does.
        refuses: messages that refuse it and name it.
    """

    expected: MessageSpec | None
    refuses: tuple[RefuseSpec, ...]


def _publisher_spec(
    spec: ProfileSpec, ingest: ConnectionIngestSpec, names: Collection[str]
) -> ProfileSpec:
    """Return the profile's file as it would be if the publisher's connection were a listener's.

    Args:
        spec: the file.
        ingest: its table about codes.
        names: names in the headers.
    """
    refuse = tuple(each for each in ingest.refuse if not names_code(each))
    if ingest.connect is None:
        return spec.model_copy(
            update={
                **(ingest if any(ingest.batch_keys.values()) else spec).batch_keys,
                "after": ingest.after or spec.after,
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
            **ingest.batch_keys,
            # Servers limit such requests, so they are made only if a value is needed.
            "before": spec.before if given & needed else (),
            "connect": ingest.connect,
            "after": ingest.after,
            "confirm": ingest.confirm,
            "refuse": refuse,
            "end": (),
            "reply": ingest.reply,
            "upkeep": ingest.upkeep,
        }
    )
