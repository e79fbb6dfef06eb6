"""Whole runs with padded payloads, against targets that pass the padding on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.runs import QUICK, run, run_against_target

pytestmark = [pytest.mark.e2e, pytest.mark.dear]

#: Most bytes of a message that the target writes; between the two sizes of payloads.
LIMIT = 1500


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("websocket", ()),
        ("code-server", ("--processes", "2")),
        ("code-server-socket", ("--value", "ingest_token=any")),
    ],
)
def test_large_messages_are_lost_and_the_limit_is_named(
    tmp_path: Path, name: str, options: tuple[str, ...]
) -> None:
    outcome, truth = run_against_target(
        tmp_path, "8", "24", "1", *QUICK, "--target", name, "--payload-bytes", "600,3000",
        *options, faults=("--max-payload", str(LIMIT)),
    )  # fmt: skip
    rows = outcome.table("codes")
    assert {row["payload_bytes"] for row in rows} == {"600", "3000"}
    lost = {code.code: len(code.lost) for code in truth.codes.values()}
    by_sequence = {int(code.split("-")[2]): each for code, each in lost.items()}
    assert {int(row["seq"]): int(row["missing"]) for row in rows} == by_sequence
    assert {int(row["seq"]) for row in rows if row["payload_bytes"] == "3000"} == {
        sequence for sequence, each in by_sequence.items() if each
    }
    (finding,) = outcome.report["diagnosis"]
    assert finding["pattern"] == "by_size"
    assert finding["evidence"]["from_bytes"] == 3000
    assert outcome.report["run"]["options"]["payload_bytes"] == "600,3000"


def test_payloads_of_a_size_arrive(tmp_path: Path) -> None:
    outcome, _ = run_against_target(
        tmp_path, "3", "5", "1", *QUICK, "--target", "sse", "--payload-bytes", "200000"
    )
    deliveries = outcome.report["deliveries"]
    assert deliveries["delivered"] == deliveries["owed"] == 15


def test_a_target_that_passes_no_padding_on_is_refused(tmp_path: Path) -> None:
    outcome = run(
        tmp_path, "3", "5", "1", "--target", "nchan", "--channels", "1", "--payload-bytes", "500",
        "--host", "http://127.0.0.1:9",
    )  # fmt: skip
    assert outcome.status == 2
    (said,) = outcome.error_messages
    assert "target nchan: --payload-bytes needs {padding} in [ingest] body, send" in said
