"""The encoding of the messages between the leader of a run and its workers.

On the wire a message is its class's name and its fields, in order. Locust packs them with
MessagePack.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict, TypeVar, get_args

from sseload_users.run.messages import Message, ToLeader, ToWorker


class Envelope(TypedDict):
    """An encoded message.

    Attributes:
        run: identity of the run; empty if the sender does not know it yet.
        kind: name of the message's class.
        fields: the message's fields.
    """

    run: str
    kind: str
    fields: Sequence[Any]


_TO_LEADER: Mapping[str, type[ToLeader]] = {kind.__name__: kind for kind in get_args(ToLeader)}
_TO_WORKER: Mapping[str, type[ToWorker]] = {kind.__name__: kind for kind in get_args(ToWorker)}

_M = TypeVar("_M", bound=Message)


class InvalidMessage(Exception):  # noqa: N818 - the sender's failure
    """A message that this version of sseload does not know."""


def encode(run_id: str, message: ToLeader | ToWorker) -> Envelope:
    """Return a message of a run as plain data."""
    return {"run": run_id, "kind": type(message).__name__, "fields": message.pack()}


def decode_to_leader(data: Envelope) -> tuple[str, ToLeader]:
    """Return the run's identity and the message that a worker encoded.

    Raises:
        InvalidMessage: its kind is unknown, or its fields are not those of its kind.
    """
    return _decode(data, _TO_LEADER)


def decode_to_worker(data: Envelope) -> tuple[str, ToWorker]:
    """Return the run's identity and the message that the leader encoded.

    Raises:
        InvalidMessage: its kind is unknown, or its fields are not those of its kind.
    """
    return _decode(data, _TO_WORKER)


def _decode(data: Envelope, kinds: Mapping[str, type[_M]]) -> tuple[str, _M]:
    try:
        return data["run"], kinds[data["kind"]].unpack(data["fields"])
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidMessage(
            f"an unknown message ({data.get('kind')}); use the same version of sseload on all hosts"
        ) from error
