"""What Socket.IO clients send, from packets or events as they are copied."""

from __future__ import annotations

from typing import Any

import pytest

from sseload_users.cli.init.connecting import ways
from sseload_users.cli.init.curl import CopiedRequest
from sseload_users.cli.init.draft import Draft
from sseload_users.cli.init.packets import ClientPackets, client_packets


@pytest.mark.parametrize(
    ("texts", "found"),
    [
        (['42["join","lobby"]'], ClientPackets(events=[["join", "lobby"]])),
        (['["join","lobby"]'], ClientPackets(events=[["join", "lobby"]])),
        (["40"], ClientPackets()),
        (
            ['40/chat,{"token":"t"}', '42/chat,17["join",{"room":1}]'],
            ClientPackets("/chat", {"token": "t"}, [["join", {"room": 1}]]),
        ),
        (["40/chat,"], ClientPackets("/chat")),
        (["hello"], ClientPackets(events=["hello"])),
    ],
)
def test_a_packet_is_read(texts: list[str], found: ClientPackets) -> None:
    assert client_packets(texts) == found


def connect(draft: Draft, transport: str, *subscribe: str) -> dict[str, Any]:
    request = CopiedRequest("GET", "/socket.io/?EIO=3&transport=websocket&room=a", ())
    (way,) = ways(draft, "http://h", [(transport, request)], subscribe)
    made: dict[str, Any] = way["connect"]
    return made


def test_secrets_of_what_clients_send_stay_out_of_the_profile() -> None:
    draft = Draft()
    found = connect(draft, "socketio", '40/chat,{"token":"t-1234"}', '42["join"]')
    assert found == {
        "path": "/socket.io/",
        "query": {"room": "a"},
        "engine": 3,
        "namespace": "/chat",
        "auth": {"token": "{token}"},
        "send": [["join"]],
    }
    other = connect(draft, "websocket", '{"op":"auth","apiKey":"k-5678"}')
    assert other["send"] == [{"op": "auth", "apiKey": "{api_key}"}]
    assert draft.values == {"token": "t-1234", "api_key": "k-5678"}
