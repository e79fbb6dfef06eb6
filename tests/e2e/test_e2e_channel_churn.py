"""Connections that change their channels in mid-session, against the target's record."""

from __future__ import annotations

from pathlib import Path

import pytest

from sseload_users.demo.record import Record
from tests.support.channel_truth import leaks, missed
from tests.support.runs import LOCUST, QUICK, ROOT, Outcome, run, run_against_target

pytestmark = [pytest.mark.e2e, pytest.mark.dear]

_S = 1_000_000_000
#: How far the two sides' times of one event may be apart.
SLACK_NS = _S // 20
PROCESSES = pytest.mark.parametrize("processes", [(), ("--processes", "3")])

SOCKET_IO = """
transport = "socketio"

[connect]
path = "/socket.io/"
query = { channel = "{channel}" }

[audience]
channel = "{channel}"
join = { send = ["join", "{channel}"] }
joined = { event = "joined", text = "{channel}" }
leave = { send = ["leave", "{channel}"] }
left = { event = "left", text = "{channel}" }

[code]
field = "[0].code"

[ingest]
method = "POST"
path = "/api/ingest"
body = { username = "{username}", code = "{code}", channel = "{channel}" }
"""

#: Joins a second room and leaves it again, as often as it is subscribed.
LOCUSTFILE = """
from sseload_users import CodeBroadcaster, CodeListener


class Visitor(CodeListener):
    def on_connected(self):
        with open({path!r}, "a") as file:
            print(self.join_channel("c2"), self.leave_channel("c1"), file=file)


class Sender(CodeBroadcaster):
    pass
"""


def play(
    folder: Path, *arguments: str, faults: tuple[str, ...] = (), target: str = "rooms"
) -> tuple[Outcome, Record]:
    """Run with connections that move, and compare what does not depend on when they do."""
    outcome, truth = run_against_target(
        folder, "12", "60", "3", *QUICK, "--target", target, "--channels", "3",
        "--channel-churn", "0.8", *arguments, faults=faults,
    )  # fmt: skip
    report = outcome.report
    deliveries, errors = report["deliveries"], report["errors"]
    # At the end, each connection may be moving.
    assert len(truth.changes) - 12 <= errors["channel_changes"] <= len(truth.changes)
    assert errors["channel_changes"] > 20
    assert errors["channel_changes_failed"] == 0
    # Each copy that was written has one outcome.
    outcomes = ("delivered", "released", "leaked", "unexpected", "duplicate", "late")
    assert sum(deliveries[each] for each in outcomes) == truth.sent
    assert deliveries["unexpected"] == deliveries["duplicate"] == deliveries["late"] == 0
    low, high = leaks(truth, SLACK_NS), leaks(truth, -SLACK_NS)
    assert low <= deliveries["leaked"] <= high
    return outcome, truth


@PROCESSES
def test_moving_connections_lose_nothing(tmp_path: Path, processes: tuple[str, ...]) -> None:
    outcome, truth = play(tmp_path, *processes)
    deliveries = outcome.report["deliveries"]
    assert deliveries["missing"] == deliveries["interrupted"] == deliveries["leaked"] == 0
    # What is sent while they move is not owed, and that is the smaller part.
    assert deliveries["owed"] == deliveries["delivered"] > truth.sent * 0.5
    assert outcome.reasons == {}
    assert outcome.status == 0


@PROCESSES
def test_a_leave_without_effect_leaks(tmp_path: Path, processes: tuple[str, ...]) -> None:
    outcome, truth = play(tmp_path, *processes, faults=("--ignore-leave", "0.4"))
    assert outcome.report["deliveries"]["leaked"] > 0
    assert outcome.reasons == {"isolation": "issues"}
    (reason,) = (
        each for each in outcome.report["verdict"]["reasons"] if each["rule"] == "isolation"
    )
    assert "which had left it and subscribes to" in reason["sentence"]
    assert outcome.report["deliveries"]["missing"] == 0
    assert any(each.fault == "ignored" for each in truth.changes)


@PROCESSES
@pytest.mark.parametrize("fault", [("--ignore-join", "0.4"), ("--late-join", "0.5:0.4")])
def test_a_join_without_effect_loses_codes(
    tmp_path: Path, processes: tuple[str, ...], fault: tuple[str, ...]
) -> None:
    outcome, truth = play(tmp_path, *processes, faults=fault)
    deliveries = outcome.report["deliveries"]
    # A connection that lacks a code waits for it until it has timed out, and leaves then.
    low, high = missed(truth, _S + 8 * SLACK_NS), missed(truth, -SLACK_NS)
    assert 0 < max(low, 1) <= deliveries["missing"] <= high
    assert deliveries["leaked"] == 0
    assert set(outcome.reasons) == {"codes_received"}


def test_events_of_socket_io_change_channels(tmp_path: Path) -> None:
    profile = tmp_path / "events.toml"
    profile.write_text(SOCKET_IO, "utf-8")
    outcome, _ = play(tmp_path / "run", target=str(profile))
    assert outcome.reasons == {}


def test_joining_leaves_the_earlier_channel_where_nothing_else_does(tmp_path: Path) -> None:
    # This server does not end the membership: codes of the earlier channel are leaks.
    profile = tmp_path / "switch.toml"
    text = (ROOT / "config" / "targets" / "rooms.toml").read_text("utf-8")
    kept = [each for each in text.splitlines() if not each.startswith(("leave", "left", "#:"))]
    profile.write_text("\n".join(kept), "utf-8")
    outcome, truth = run_against_target(
        tmp_path / "run", "6", "40", "3", *QUICK, "--target", str(profile), "--channels", "3",
        "--channel-churn", "1",
    )  # fmt: skip
    deliveries = outcome.report["deliveries"]
    outcomes = ("delivered", "released", "leaked")
    assert sum(deliveries[each] for each in outcomes) == truth.sent
    assert deliveries["leaked"] > 0
    assert deliveries["missing"] == 0


def test_a_locustfile_joins_and_leaves(tmp_path: Path) -> None:
    (tmp_path / "locustfile.py").write_text(
        LOCUSTFILE.format(path=str(tmp_path / "joined")), "utf-8"
    )
    outcome, truth = run_against_target(
        tmp_path / "run", "-u", "4", "--headless", "--codes", "40", "--duration", "2", *QUICK,
        "--settle", "1.5", "--target", "rooms", "--channels", "1", "-f",
        str(tmp_path / "locustfile.py"), command=LOCUST,
    )  # fmt: skip
    assert (tmp_path / "joined").read_text("utf-8") == "True True\n" * 3
    # The run has codes for the channel c1 alone, which all had left a second before.
    assert outcome.report["codes"]["unowed"] == len(truth.codes) == 40
    assert truth.sent == 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--target", "websocket"), "--channel-churn needs channels: give --channels N, or name"),
        (("--target", "rooms"), "--channel-churn: all connections are in one channel, lobby;"),
        (("--target", "nchan", "--channels", "2"), "target nchan does not say how a connection"),
        (
            ("--target", "rooms", "--channels", "2", "--observe"),
            "--observe sends no codes: leave --channels out.",
        ),
    ],
)
def test_what_cannot_move_is_refused(
    tmp_path: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    outcome = run(
        tmp_path, "4", "4", "1", *arguments, "--channel-churn", "1", "--host", "http://127.0.0.1:9"
    )
    assert outcome.status == 2
    (said,) = outcome.error_messages
    assert said.startswith(f"sseload: {sentence}")


#: A profile whose clients tell the server the offset of what they had last, as they return.
RESUMED = (
    ('transport = "websocket"\n', 'transport = "websocket"\nguarantee = "resume"\n'),
    (
        "[code]\n",
        """[resume]
capture = { offset = { field = "offset" } }
query = { offset = "{offset}" }

[code]
""",
    ),
)


@PROCESSES
@pytest.mark.parametrize(
    ("faults", "good"), [((), True), (("--lose-gap",), False)], ids=["replays", "loses the gap"]
)
def test_connections_that_move_and_return_are_owed_the_gap(
    tmp_path: Path, processes: tuple[str, ...], faults: tuple[str, ...], good: bool
) -> None:
    text = (ROOT / "config" / "targets" / "rooms.toml").read_text("utf-8")
    for old, new in RESUMED:
        text = text.replace(old, new)
    profile = tmp_path / "resumed.toml"
    profile.write_text(text, "utf-8")
    outcome, truth = run_against_target(
        tmp_path / "run", "12", "80", "4", *QUICK, "--target", str(profile), "--channels", "3",
        "--channel-churn", "0.8", "--flap", "0.12", "--storm-jitter", "0.4", *processes,
        faults=faults,
    )  # fmt: skip
    deliveries = outcome.report["deliveries"]
    assert deliveries["leaked"] == deliveries["unexpected"] == deliveries["duplicate"] == 0
    if good:
        assert deliveries["missing"] == 0
        assert deliveries["recovered"] > 0
        assert outcome.reasons == {}
    else:
        assert 0 < deliveries["missing"] <= truth.withheld
        assert set(outcome.reasons) == {"codes_received"}
    outcomes = ("delivered", "recovered", "released", "history", "replayed")
    brought = sum(deliveries[each] for each in outcomes)
    # What the kernel took as the connection was lost may never have arrived.
    assert brought <= truth.sent + truth.replayed <= brought + 12


@pytest.mark.parametrize(
    ("refuse", "cause"),
    [
        ("", "join: not confirmed in time"),
        ('[[refuse]]\nfields = { type = "joined" }\ncause = "full"\n', "join: full"),
    ],
)
def test_a_join_that_fails_is_an_error(tmp_path: Path, refuse: str, cause: str) -> None:
    text = (ROOT / "config" / "targets" / "rooms.toml").read_text("utf-8")
    profile = tmp_path / "unconfirmed.toml"
    profile.write_text(text.replace('"type" = "joined"', '"type" = "welcome"') + refuse, "utf-8")
    outcome, truth = run_against_target(
        tmp_path / "run", "6", "20", "2", *QUICK, "--target", str(profile), "--channels", "2",
        "--channel-churn", "0.6", "--connect-timeout", "0.5",
    )  # fmt: skip
    errors = outcome.report["errors"]
    joins = sum(each.joins for each in truth.changes)
    failed = outcome.causes["channel", cause]
    assert joins - 6 <= failed == errors["channel_changes_failed"] <= joins
    assert failed > 0
    assert set(outcome.reasons) == {"error_rate"}
    # It may be in the channel: what comes counts.
    deliveries = outcome.report["deliveries"]
    assert deliveries["missing"] == deliveries["unexpected"] == deliveries["leaked"] == 0
