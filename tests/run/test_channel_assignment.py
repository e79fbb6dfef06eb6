"""Which channels connections subscribe to, and which of them get codes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from sseload_users.core.errors import ConfigError
from sseload_users.options import Options
from sseload_users.run.channel_assignment import ChannelAssignment
from sseload_users.targets import Identity

HOST = "http://127.0.0.1:1"
PROFILE = """
transport = "websocket"
{audience}
[connect]
path = "/ws"
query = {{ "room" = "{names}" }}
send = ["hello", {{ "subscribe" = "{{channel}}" }}]
[code]
whole = true
[ingest]
method = "POST"
path = "/in"
query = {{ "room" = "{{channel}}" }}
body = "{{code}}"
"""


def profile(folder: Path, audience: str, names: str = "{channel}") -> str:
    file = folder / "rooms.toml"
    file.write_text(PROFILE.format(audience=audience, names=names))
    return str(file)


def assignment(
    options: Options, users: Sequence[Identity] = (Identity("ann"),)
) -> ChannelAssignment:
    return ChannelAssignment(options, options.make_target(HOST), users)


def test_connections_are_spread_over_numbered_channels(tmp_path: Path) -> None:
    rooms = assignment(Options(target=profile(tmp_path, ""), channels=3))
    assert [rooms.identity(each).channels for each in range(4)] == [
        ("c1",), ("c2",), ("c3",), ("c1",),
    ]  # fmt: skip
    plan = rooms.plan(7, "")
    assert plan is not None
    assert plan.sizes == {"c1": 3, "c2": 2, "c3": 2}
    assert [plan.channel_of(each) for each in (1, 2, 3, 4)] == ["c1", "c2", "c3", "c1"]


def test_channels_without_connections_get_no_codes(tmp_path: Path) -> None:
    plan = assignment(Options(target=profile(tmp_path, ""), channels=100)).plan(3, "")
    assert plan is not None
    assert plan.names == ("c1", "c2", "c3")


def test_zipf_sizes_fall_with_the_rank(tmp_path: Path) -> None:
    options = Options(target=profile(tmp_path, ""), channels=4, channel_sizes="zipf")
    plan = assignment(options).plan(10_000, "")
    assert plan is not None
    for rank in (2, 3, 4):
        assert plan.sizes["c1"] / plan.sizes[f"c{rank}"] == pytest.approx(rank, rel=0.02)


def test_a_column_of_the_users_file_names_the_channel(tmp_path: Path) -> None:
    users = [Identity(str(each), {"room": "ab"[each % 2]}) for each in range(3)]
    rooms = assignment(
        Options(target=profile(tmp_path, '[audience]\nchannel = "room-{room}"')), users
    )
    assert [rooms.identity(each).channels for each in range(3)] == [
        ("room-a",), ("room-b",), ("room-a",),
    ]  # fmt: skip


def test_each_user_can_have_a_channel(tmp_path: Path) -> None:
    options = Options(target=profile(tmp_path, '[audience]\nchannel = "user:{username}"'))
    rooms = assignment(options, [Identity("ann"), Identity("bob")])
    plan = rooms.plan(4, "")
    assert plan is not None
    assert plan.sizes == {"user:ann": 2, "user:bob": 2}
    assert rooms.identity(0, Identity("eve")).channels == ("user:eve",)


def test_a_connection_subscribes_to_several_channels(tmp_path: Path) -> None:
    text = profile(tmp_path, '[audience]\nchannels = ["{channel}", "all"]', "{channels}")
    options = Options(target=text, channels=2, channel_order="weighted")
    rooms = assignment(options)
    user = rooms.identity(1)
    assert user.channels == ("c2", "all")
    endpoint = options.make_target(HOST).endpoint(user)
    assert endpoint.url.endswith("/ws?room=c2%2Call")
    assert endpoint.hello == ("hello", '{"subscribe":"c2"}', '{"subscribe":"all"}')
    plan = rooms.plan(10, "")
    assert plan is not None
    assert plan.sizes == {"c1": 5, "all": 10, "c2": 5}
    dealt = Counter(map(plan.channel_of, range(1, 1001)))
    assert 420 < dealt["all"] < 580


def test_a_run_without_channels_has_no_plan() -> None:
    rooms = assignment(Options(target="websocket"))
    assert rooms.plan(10, "") is None
    assert rooms.identity(0).channels == ()


@pytest.mark.parametrize(
    ("audience", "names", "sentence"),
    [
        ("[audience]", "x", "audience: give either channel or channels."),
        (
            '[audience]\nchannels = ["a", "b"]',
            "{channel}",
            "connect.query has {channel}, but audience names several channels",
        ),
    ],
)
def test_an_audience_that_is_ambiguous_is_refused(
    tmp_path: Path, audience: str, names: str, sentence: str
) -> None:
    with pytest.raises(ConfigError, match=sentence.replace("{", "\\{")):
        Options(target=profile(tmp_path, audience, names)).make_target(HOST)


def test_a_profile_must_say_where_the_channel_goes() -> None:
    with pytest.raises(ConfigError, match=r"does not subscribe to \{channel\}"):
        assignment(Options(target="websocket", channels=2)).plan(4, "")


def test_a_code_must_say_where_it_goes(tmp_path: Path) -> None:
    file = Path(profile(tmp_path, ""))
    file.write_text(file.read_text().replace('query = { "room" = "{channel}" }\nbody', "body"))
    with pytest.raises(ConfigError, match=r"\[ingest\] does not say"):
        assignment(Options(target=str(file), channels=2)).plan(4, "")


def test_a_channel_needs_a_run_with_channels(tmp_path: Path) -> None:
    target = Options(target=profile(tmp_path, "")).make_target(HOST)
    with pytest.raises(ConfigError, match=r"needs \{channel\}"):
        target.check([Identity("ann")])
    target.check([Identity("ann")], has_channels=True)
