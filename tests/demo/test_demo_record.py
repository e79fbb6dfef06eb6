"""The record: write it line by line, read it back complete or truncated."""

from __future__ import annotations

from pathlib import Path

import pytest

from sseload_users.demo import record
from sseload_users.demo.record import (
    CodeRecord,
    ConnectionRecord,
    IngestRecord,
    PageRecord,
    Recorder,
)


def write_record(path: Path) -> None:
    recorder = Recorder(path)
    recorder.write("started", options={"seed": 3})
    who = {"transport": "websocket", "username": "alice"}
    recorder.write("opened", connection=1, node=2, **who, ns=10)
    recorder.write("subscribed", connection=1, namespace="", ns=11, channels=["a"], after=3)
    recorder.write("replayed", connection=1, codes=[4, 5, 6, 7])
    recorder.write("withheld", connection=1, codes=[3])
    recorder.write("refused", connection=2, node=1, **who, how="503", ns=12)
    recorder.write("ingest", code="A", status=200, index=1, ns=13, fault="")
    recorder.write("ingest", code="B", status="hang", index=None, ns=14, fault="hang")
    recorder.write("publishing", connection=1, ns=14)
    recorder.write("ingest", code="C", status="No", index=None, ns=14, fault="", connection=1)
    recorder.write("page", username="alice", status=429, ns=14)
    recorder.code(CodeRecord(1, "A", 20, 21, 2, sent=[1], lost=[3], duplicated=[1, 1]))
    recorder.write("dropped", connection=1, how="close", ns=15)
    recorder.write("closed", connection=1, by="server", code=1001, ns=16)
    recorder.write("stopped", why="SIGTERM")
    recorder.close()
    recorder.write("opened", connection=3, node=1, **who, ns=99)


def test_a_record_round_trips(tmp_path: Path) -> None:
    write_record(tmp_path / "r")
    truth = record.read(tmp_path / "r")
    assert truth.options == {"seed": 3}
    assert truth.stopped == "SIGTERM"
    assert truth.connections == {
        1: ConnectionRecord(
            1,
            "websocket",
            "alice",
            10,
            {"": 11},
            [4, 5, 6, 7],
            None,
            "close",
            16,
            "server",
            1001,
            14,
            channels=["a"],
            after=3,
            withheld=[3],
            node=2,
        ),
        2: ConnectionRecord(2, "websocket", "alice", refused="503"),
    }
    assert truth.ingests == [
        IngestRecord("A", 200, 1, 13),
        IngestRecord("B", "hang", None, 14, "hang"),
        IngestRecord("C", "No", None, 14, connection=1),
    ]
    assert truth.pages == [PageRecord("alice", 429, 14)]
    assert (truth.opened, truth.refused, truth.dropped, truth.replayed) == (1, 1, 1, 4)
    assert (truth.subscribers, truth.sent, truth.lost, truth.duplicated) == (2, 1, 1, 2)
    assert truth.connection_total("duplicated", 1) == 2


def test_each_line_is_flushed_at_once(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "r")
    recorder.write("stopped", why="so far")
    assert record.read(tmp_path / "r").stopped == "so far"
    recorder.close()


def test_an_unfinished_last_line_is_ignored(tmp_path: Path) -> None:
    path = tmp_path / "r"
    write_record(path)
    whole = path.read_text()
    for cut in range(len(whole)):
        path.write_text(whole[:cut])
        record.read(path)
    path.write_text(whole[:-1])
    assert record.read(path).stopped == ""


@pytest.mark.parametrize(
    "line", ["no JSON", '{"event":"unheard"}', '{"event":"code"}', "3", '{"event":"closed"}']
)
def test_an_invalid_line_is_reported_with_its_number(tmp_path: Path, line: str) -> None:
    path = tmp_path / "r"
    path.write_text(f'{{"event":"stopped","why":""}}\n{line}\n')
    with pytest.raises(ValueError, match="line 2: invalid record line"):
        record.read(path)


def test_without_a_path_nothing_is_written() -> None:
    recorder = Recorder(None)
    recorder.write("stopped", why="")
    recorder.write("publishing", connection=1, ns=14)
    recorder.write("ingest", code="C", status="No", index=None, ns=14, fault="", connection=1)
    recorder.write("page", username="alice", status=429, ns=14)
    recorder.code(CodeRecord(1, "A"))
    recorder.close()
