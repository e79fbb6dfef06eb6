"""What `check` says of the place where codes are."""

from __future__ import annotations

import pytest

from sseload_users.cli.check_places import found_at, found_elsewhere, place
from sseload_users.targets.schema import CodeSpec
from sseload_users.transports import TransportName

CODE = "LT-abc123-1-xyz"
NESTED = f'{{"type":"note","payload":"{{\\"text\\":\\"{CODE}\\"}}"}}'.encode()
EVENT = f'42["note",{{"text":"{CODE}"}}]'.encode()


@pytest.mark.parametrize(
    ("code", "transport", "payload", "where", "advice"),
    [
        ({"field": "payload.text"}, "websocket", NESTED, "at payload.text", ""),
        ({"regex": "LT-[a-z0-9-]+"}, "websocket", NESTED, ("at payload.text; the profile finds it "
         "by a regex"), ("A path costs less. Write in the profile's [code]: field = "
         '"payload.text".')),
        ({"regex": "LT-[a-z0-9-]+"}, "websocket", f"news: {CODE}".encode(),
         "inside a text or binary data that is no JSON", ""),
        ({"whole": True}, "websocket", CODE.encode(), "the whole text", ""),
        ({"field": "[0].text"}, "socketio", EVENT, "at [0].text of the event note", ""),
        ({"regex": "LT-[a-z0-9-]+"}, "websocket", b"\xff" + CODE.encode(),
         "inside a text or binary data that is no JSON", ""),
    ],
)  # fmt: skip
def test_the_place_is_the_profiles_own_or_a_better_one(
    code: dict[str, object], transport: TransportName, payload: bytes, where: str, advice: str
) -> None:
    spec = CodeSpec.model_validate(code)
    assert found_at(spec, transport, payload, [CODE]) == (f"The code is {where}.", advice)


def test_a_place_that_the_profile_does_not_read_is_named() -> None:
    assert found_elsewhere("websocket", NESTED, [CODE]).endswith("does not look, at payload.text")
    where, hint = place("websocket", NESTED, [CODE])
    assert where == "; the code is at payload.text"
    assert hint == """Write in the profile's [code]: field = "payload.text"."""
