"""Answers on a publisher's connection are matched with the codes in flight."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sseload_users.targets.messages import ReceivedMessage
from sseload_users.targets.publishing import Refused
from sseload_users.users.publishers.answers import (
    AnswerMatcher,
    AwaitedCode,
    Expects,
    PublishOutcome,
)

ACK = ReceivedMessage("", "", [])


def words(what: ReceivedMessage) -> Refused | None:
    """Return the refusal in an error that names no code."""
    return Refused(what.text.removeprefix("error ")) if what.text.startswith("error ") else None


class Codes:
    """Codes on one connection, and their outcomes."""

    def __init__(self, expects: Expects) -> None:
        self.answers = AnswerMatcher(expects, words)
        self.outcomes: dict[int, PublishOutcome] = {}

    def send(self, *numbers: int) -> Codes:
        for number in numbers:
            self.answers.add(number, AwaitedCode(*self._of(number), self._settle(number)))
        return self

    def hear(self, *texts: str) -> Codes:
        for text in texts:
            if text.startswith("ack "):
                self.answers.on_acknowledgement(int(text[4:]), ACK, 1)
            else:
                self.answers.on_message(ReceivedMessage("", text), 1)
        return self

    def expire(self, number: int) -> Codes:
        self.outcomes[number] = self.answers.expire(number)
        return self

    @property
    def statuses(self) -> dict[int, str]:
        return {
            number: each.status + (f" {each.cause}" if each.cause else "")
            for number, each in sorted(self.outcomes.items())
        }

    def _of(
        self, number: int
    ) -> tuple[Callable[[ReceivedMessage], bool], Callable[[ReceivedMessage], Refused | None]]:
        return (
            lambda what: what.text in ("stored", f"stored {number}"),
            lambda what: Refused("named") if what.text == f"refused {number}" else None,
        )

    def _settle(self, number: int) -> Callable[[PublishOutcome], None]:
        def settle(outcome: PublishOutcome) -> None:
            assert number not in self.outcomes
            self.outcomes[number] = outcome

        return settle


@pytest.mark.parametrize(
    ("expects", "sent", "heard", "statuses"),
    [
        # an acknowledgement has the number of its code
        ("ack", [1, 2], ["ack 2", "ack 1"], {1: "accepted", 2: "accepted"}),
        ("ack", [1], ["hello", "ack 7"], {}),
        # an error belongs to the only code in flight, whose acknowledgement adds nothing
        ("ack", [1], ["error no"], {1: "rejected no"}),
        ("ack", [1], ["error no", "ack 1"], {1: "rejected no"}),
        # with several codes in flight, it belongs to the one that is acknowledged next
        ("ack", [1, 2], ["error no", "ack 2", "ack 1"], {1: "accepted", 2: "rejected no"}),
        (
            "ack",
            [1, 2, 3],
            ["ack 1", "error a", "error b", "ack 2", "ack 3"],
            {1: "accepted", 2: "rejected a", 3: "rejected b"},
        ),
        # once no other code can be meant, there is no need to wait
        ("ack", [1, 2], ["error a", "error b", "ack 1"], {1: "rejected a", 2: "rejected b"}),
        # an error that names its code is assigned at once
        ("ack", [1, 2], ["refused 2", "ack 1", "ack 2"], {1: "accepted", 2: "rejected named"}),
        # messages: by the code in them, otherwise in order
        ("message", [1, 2], ["stored 2", "stored 1"], {1: "accepted", 2: "accepted"}),
        ("message", [1, 2], ["stored"], {1: "accepted"}),
        ("message", [1, 2], ["error no", "stored"], {1: "rejected no", 2: "accepted"}),
        ("message", [1, 2], ["refused 2", "hello"], {2: "rejected named"}),
        # without answers, an error belongs to the newest code
        ("none", [1, 2], ["error no", "stored"], {2: "rejected no"}),
        ("none", [1, 2], ["error a", "error b", "error c"], {1: "rejected b", 2: "rejected a"}),
    ],
)
def test_an_answer_finds_its_code(
    expects: Expects, sent: list[int], heard: list[str], statuses: dict[int, str]
) -> None:
    if expects == "none":
        heard = [each for each in heard if each != "stored"]
    assert Codes(expects).send(*sent).hear(*heard).statuses == statuses


def test_messages_without_a_code_in_flight_are_ignored() -> None:
    assert Codes("ack").hear("error no").send(1).hear("ack 1").statuses == {1: "accepted"}
    assert Codes("message").hear("error no", "stored").send(1).statuses == {}


def test_an_expired_code_is_unanswered() -> None:
    codes = Codes("ack").send(1, 2).expire(1).hear("ack 1", "ack 2")
    assert codes.statuses == {1: "unanswered no answer in time", 2: "accepted"}
    assert Codes("message").send(1).expire(1).statuses == {1: "unanswered no answer in time"}
    assert Codes("none").send(1).expire(1).statuses == {1: "accepted"}


def test_an_error_without_an_acknowledgement_belongs_to_the_oldest_code() -> None:
    codes = Codes("ack").send(1, 2).hear("error no")
    assert codes.statuses == {}
    assert codes.expire(1).statuses == {1: "rejected no"}
    assert codes.expire(2).statuses[2] == "unanswered no answer in time"


def test_a_late_answer_is_not_assigned_to_a_later_code() -> None:
    codes = Codes("ack").send(1).expire(1).send(2).hear("error late", "ack 1", "ack 2")
    assert codes.statuses == {1: "unanswered no answer in time", 2: "accepted"}


def test_a_lost_connection_leaves_codes_unanswered() -> None:
    codes = Codes("ack").send(1, 2, 3).hear("error no", "ack 2")
    codes.answers.on_connection_lost("connection reset")
    assert codes.statuses == {
        1: "unanswered connection reset",
        2: "rejected no",
        3: "unanswered connection reset",
    }
    codes = Codes("ack").send(1, 2).hear("error no")
    codes.answers.on_connection_lost("connection reset")
    assert codes.statuses == {1: "rejected no", 2: "unanswered connection reset"}
    assert codes.send(4).hear("ack 4").statuses[4] == "accepted"


@given(
    refused=st.lists(st.booleans(), max_size=12),
    interleaving=st.integers(0, 2**32),
    one_by_one=st.booleans(),
)
def test_errors_followed_by_acknowledgements_are_assigned_correctly(
    refused: list[bool], interleaving: int, one_by_one: bool
) -> None:
    """For any number of codes in flight, and any order in which the server handles them."""
    random_ = random.Random(interleaving)
    codes, waiting, expected = Codes("ack"), [], {}
    for number, is_refused in enumerate(refused):
        codes.send(number)
        waiting.append(number)
        expected[number] = f"rejected {number}" if is_refused else "accepted"
        while waiting and random_.random() < 0.4:
            done = waiting.pop(0 if one_by_one else random_.randrange(len(waiting)))
            if refused[done]:
                codes.hear(f"error {done}")
            codes.hear(f"ack {done}")
    for done in waiting:
        codes.hear(*[f"error {done}"] * refused[done], f"ack {done}")
    assert codes.statuses == expected


@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(
                ["send", "ack", "error", "refused", "stored", "expire", "forget", "lost"]
            ),
            st.integers(0, 5),
        )
    ),
    expects=st.sampled_from(["ack", "message", "none"]),
)
def test_each_code_has_one_outcome_whatever_arrives(
    steps: list[tuple[str, int]], expects: Expects
) -> None:
    codes, newest, over = Codes(expects), 0, set()
    for what, which in steps:
        number = max(newest - which, 0)
        match what:
            case "send":
                newest += 1
                codes.send(newest)
            case "expire" | "forget":
                in_flight = number and number not in codes.outcomes and number not in over
                if in_flight and what == "expire":
                    codes.expire(number)
                elif in_flight:
                    over.add(number)
                    codes.answers.discard(number)
            case "lost":
                codes.answers.on_connection_lost("gone")
            case _:
                codes.hear(what if what == "error" else f"{what} {number}")
        assert not over & codes.outcomes.keys()
    codes.answers.on_connection_lost("gone")
    assert {*codes.outcomes, *over} == {*range(1, newest + 1)}
