"""Finding the name of a channel in a profile's draft."""

from __future__ import annotations

from typing import Any

import pytest

from sseload_users.cli.init.channels import channel_names, names_channel, with_channel

BODY = {"text": "{code}"}


def tables(connect: dict[str, Any], ingest: dict[str, Any]) -> dict[str, Any]:
    return {"connect": {"path": "/ws", **connect}, "ingest": {"path": "/send", **ingest}}


@pytest.mark.parametrize(
    ("connect", "ingest", "names"),
    [
        ({"path": "/ws/rooms/lobby"}, {"path": "/api/rooms/lobby/messages"}, ["lobby"]),
        ({"send": ['42["join","kitchen"]']}, {"path": "/rooms/kitchen/say"}, ["kitchen"]),
        ({"query": {"room": "a-1"}}, {"body": {**BODY, "room": "a-1"}}, ["a-1"]),
        ({"send": [{"topic": "room:lobby"}]}, {"path": "/rooms/lobby"}, ["lobby"]),
        ({"send": [{"symbols": ["ACME"]}]}, {"body": {"symbol": "ACME"}}, ["ACME"]),
        # A text of its own is likelier than a part of a path.
        (
            {"path": "/acme/ws", "send": [{"subscribe": "news"}, {"subscribe": "sports"}]},
            {"path": "/acme/send", "body": {"to": "sports"}},
            ["sports", "acme"],
        ),
        # "news" is a channel where it is all that a text says.
        ({"send": [{"params": ["news"]}]}, {"body": {"params": ["news", "{code}"]}}, ["news"]),
        ({"path": "/news/ws"}, {"path": "/news/send"}, []),
        ({"send": [{"op": "subscribe"}]}, {"body": {"op": "subscribe"}}, []),
        # Words that only say what something is, versions, names of the protocol, secrets.
        ({"path": "/api/v1/messages/stream"}, {"path": "/api/v1/messages"}, []),
        ({"query": {"token": "abcd1234"}}, {"query": {"token": "abcd1234"}}, []),
        ({"path": "/ws/{csrf_token}"}, {"body": {**BODY, "csrf": "{csrf_token}"}}, []),
        (
            {"headers": {"Origin": "http://shop.example"}, "transports": ["polling"]},
            {"headers": {"Origin": "http://shop.example"}, "body": {"a": "polling"}},
            [],
        ),
    ],
)
def test_words_in_both_places_may_name_a_channel(
    connect: dict[str, Any], ingest: dict[str, Any], names: list[str]
) -> None:
    assert [*channel_names(tables(connect, ingest))] == names


def test_the_name_is_replaced_wherever_it_is_a_word() -> None:
    made = with_channel(
        {
            **tables(
                {"path": "/ws/lobby", "send": [{"join": "room:lobby", "as": "lobbyist"}]},
                {"path": "/rooms/lobby/say", "body": {"text": "{code}", "lobby": "pre-lobby"}},
            ),
            "confirm": {"fields": {"room": "lobby"}},
            "code": {"event": "say", "field": "text", "fields": {"topic": "lobby", "type": "say"}},
        },
        "lobby",
    )
    assert made == {
        "values": {"channel": "lobby"},
        "connect": {
            "path": "/ws/{channel}", "send": [{"join": "room:{channel}", "as": "lobbyist"}],
        },
        "ingest": {
            "path": "/rooms/{channel}/say", "body": {"text": "{code}", "lobby": "pre-lobby"},
        },
        "confirm": {"fields": {"room": "{channel}"}},
        "code": {"event": "say", "field": "text", "fields": {"type": "say"}},
    }  # fmt: skip


def test_an_event_of_the_channels_name_is_no_condition() -> None:
    made = with_channel(
        {
            **tables({"path": "/lobby"}, {"path": "/lobby"}),
            "code": {"event": "lobby", "field": "t"},
        },
        "lobby",
    )
    assert made["code"] == {"field": "t"}


def test_where_a_given_name_is_missing_is_known() -> None:
    found = tables({"path": "/ws/lobby"}, {"path": "/say"})
    assert names_channel(found, "lobby") == (True, False)
    assert names_channel(found, "say") == (False, True)


def test_a_word_of_paths_alone_may_be_a_folder() -> None:
    both = tables({"path": "/acme/ws", "send": ["join lobby"]}, {"path": "/acme/lobby"})
    assert channel_names(both) == {"lobby": True, "acme": False}
