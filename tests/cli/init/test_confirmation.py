"""Which message confirms a subscription."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sseload_users.cli.init.confirmation import find_confirmation
from sseload_users.cli.init.message import Message
from sseload_users.cli.locate import Content


def received(*texts: str, event: str = "", connections: int = 3) -> list[Message]:
    """Return the same messages for each client; N in them is the client's number."""
    return [
        Message(number, Content(event, text.replace("N", str(number))))
        for number in range(connections)
        for text in texts
    ]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"type":"welcome","id":N}', {"fields": {"type": "welcome"}}),
        ('{"Type":"SubscriptionConfirmation","Id":"N"}',
         {"fields": {"Type": "SubscriptionConfirmation"}}),
        ('["hello",{"heartbeat":N}]', {"fields": {"[0]": "hello"}}),
        ('{"online":N,"a.b":1}', {"has": ["online", '["a.b"]']}),
        ("welcome", {"text": "welcome"}),
        # What it reports may be another number for those who come later.
        ("SCORE 2:1", {"regex": r"^SCORE\b"}),
        ("2:1", None),
        ("PING", None),
        ('{"type":"heartbeat"}', None),
        ("[1,2]", None),
    ],
)  # fmt: skip
def test_it_is_described_without_what_may_differ(text: str, found: dict[str, Any] | None) -> None:
    assert find_confirmation(received(text), 3, ()) == found


def test_an_answer_to_the_subscription_goes_before_a_greeting() -> None:
    early = received('["hello",{}]', '["watching",{"queue":"billing"}]')
    assert find_confirmation(early, 3, [["watch", {"queue": "billing"}]]) == {
        "fields": {"[0]": "watching"}
    }
    assert find_confirmation(early, 3, [["listen", {"queue": "sales"}]]) == {
        "fields": {"[0]": "hello"}
    }


def test_the_last_message_of_several_has_to_be_answered() -> None:
    early = received('{"type":"authenticated"}', '{"type":"ok","ref":1}')
    sent = [{"type": "auth", "token": "{token}"}, {"type": "subscribe", "ref": 1}]
    assert find_confirmation(early, 3, sent) == {"fields": {"type": "ok"}}
    assert find_confirmation(early, 3, sent[:1]) == {"fields": {"type": "authenticated"}}
    only = received('{"type":"authenticated"}')
    assert find_confirmation(only, 3, sent) == {"fields": {"type": "authenticated"}}


def test_a_message_that_one_client_lacks_confirms_nothing() -> None:
    answer = json.dumps({"type": "joined", "room": "lobby"})
    early = [*received('{"type":"hello"}'), Message(0, Content("", answer))]
    assert find_confirmation(early, 3, ["join lobby"]) == {"fields": {"type": "hello"}}
    assert find_confirmation(received("hello", connections=2), 3, ()) is None


def test_data_that_comes_again_and_again_confirms_nothing() -> None:
    early = received('{"price":1,"symbol":"ACME"}', '{"price":2,"symbol":"ACME"}')
    assert find_confirmation(early, 3, [{"subscribe": "ACME"}]) is None
    assert find_confirmation(early, 3, ()) is None


def test_an_event_confirms_by_its_name() -> None:
    assert find_confirmation(received("{}", event="ready"), 3, ()) == {"event": "ready"}
