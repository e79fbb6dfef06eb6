from __future__ import annotations

import csv
import errno
import json
import os
import re
import unicodedata
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import jsonschema
import junitparser
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sseload_users.report import files, html, serialization
from sseload_users.report.files import ReportError
from sseload_users.report.model import Report
from sseload_users.report.serialization import parse
from tests.support.reports import as_data, connection_rows, sample, samples

PUBLISHED = Path(serialization.__file__).with_name("schema.json")
SCHEMA = json.loads(PUBLISHED.read_text(encoding="utf-8"))
NAMES = [
    "report.json",
    "codes.csv",
    "connections.csv",
    "channels.csv",
    "nodes.csv",
    "node_pairs.csv",
    "junit.xml",
    "report.md",
    "report.html",
]

validator = jsonschema.Draft202012Validator(
    SCHEMA, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
)


def test_the_published_schema_matches_the_types() -> None:
    assert serialization.schema() == SCHEMA, "run make schema"


def test_the_schema_is_valid_and_describes_every_field() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    fields = dict(SCHEMA["properties"])
    for owner, definition in SCHEMA["$defs"].items():
        assert definition["description"].endswith("."), owner
        for name, field in definition["properties"].items():
            fields[f"{owner}.{name}"] = field
    assert len(fields) > 100
    for path, field in fields.items():
        # A part that is described by its type needs no further words.
        own = SCHEMA["$defs"].get(field.get("$ref", "").removeprefix("#/$defs/"), {})
        about = field.get("description") or own.get("description", "")
        assert about.endswith("."), path
        assert "\n" not in about
        if path.endswith(("_ms", "hdr")):
            # a latency's unit is stated once, in its definition
            assert "second" in about or "$ref" in field, path


def test_every_object_of_the_schema_is_closed() -> None:
    def walk(schema: Any) -> None:
        if isinstance(schema, dict):
            if "properties" in schema and schema.get("type") == "object":
                assert schema["additionalProperties"] is False
                assert set(schema["required"]) == set(schema["properties"])
            for part in schema.values():
                walk(part)

    walk(SCHEMA)


@given(samples())
@settings(max_examples=40, deadline=None)
def test_reports_conform_to_the_schema(report: Report) -> None:
    data = as_data(report)
    validator.validate(data)
    assert parse(as_data(report), "report.json") == report
    assert list(data) == list(SCHEMA["properties"])


def test_the_documented_examples_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (Path(__file__).parents[2] / "docs" / "report.md").read_text(encoding="utf-8")
    examples = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    report = sample(50, 10, missing=3)
    files.write(report, tmp_path, connection_rows(report))
    monkeypatch.chdir(tmp_path)
    for example in examples:
        exec(example, {})
    assert len(examples) == 2
    highest = float(capsys.readouterr().out.split()[0])
    assert highest == pytest.approx(report.delivery_ms.max, rel=1e-3)
    report.deliveries.owed = -1
    files.write(report, tmp_path, [])
    with pytest.raises(jsonschema.ValidationError, match="-1 is less than"):
        exec(examples[0], {})


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data.update(extra=1),
        lambda data: data.pop("timeline"),
        lambda data: data.update(schema=2),
        lambda data: data["run"].update(started_at="yesterday"),
        lambda data: data["deliveries"].update(owed=-1),
        lambda data: data["deliveries"].update(delivery_rate=1.5),
        lambda data: data["delivery_ms"].update(p50=None),
        lambda data: data["received_per_connection"].update(ten=1),
        lambda data: data["per_code"][0].update(status="lost"),
        lambda data: data["verdict"].update(grade="fine"),
    ],
)
def test_the_schema_refuses_invalid_reports(spoil: Any) -> None:
    data = as_data(sample())
    spoil(data)
    assert not validator.is_valid(data)


def test_all_files_are_written_and_consistent(tmp_path: Path) -> None:
    report = sample(50, 10, missing=3, unavailable=2, unsent=1)
    written = files.write(report, tmp_path / "a" / "b", connection_rows(report))
    assert [path.name for path in written] == NAMES
    assert sorted(path.name for path in (tmp_path / "a" / "b").iterdir()) == sorted(NAMES)
    assert json.loads(written[0].read_text()) == as_data(report)
    with written[1].open(newline="") as file:
        codes = list(csv.DictReader(file))
    assert [int(row["seq"]) for row in codes] == list(range(1, 11))
    assert sum(int(row["missing"]) for row in codes) == 3
    assert codes[-1]["status"] == "unsent"
    assert codes[-1]["sent_at"] == codes[-1]["p50_ms"] == ""
    with written[2].open(newline="") as file:
        connections = list(csv.DictReader(file))
    assert len(connections) == 50
    assert [row["connected"] for row in connections[-3:]] == ["yes", "no", "no"]


def test_a_report_replaces_an_older_one_with_default_permissions(tmp_path: Path) -> None:
    for codes in (20, 5):
        report = sample(10, codes)
        files.write(report, tmp_path, connection_rows(report))
    assert json.loads((tmp_path / "report.json").read_text())["codes"]["scheduled"] == 5
    (tmp_path / "plain").touch()
    assert (tmp_path / "report.json").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "' =1"),
        ("\r=1", "' =1"),
        ("  =1", "'  =1"),
        ("\uff1d1", "'\uff1d1"),
        ("\x1b]0;x\x07", "\ufffd]0;x\ufffd"),
        ("loadtest", "loadtest"),
        ('say "hi", twice', 'say "hi", twice'),
    ],
)
def test_no_cell_contains_a_formula_or_an_escape(tmp_path: Path, text: str, cell: str) -> None:
    report = sample(2, 1)
    rows = [replace(row, username=text, connect_ms=-0.5) for row in connection_rows(report)]
    files.write(report, tmp_path, rows)
    with (tmp_path / "connections.csv").open(newline="", encoding="utf-8") as file:
        row = next(csv.DictReader(file))
    assert row["username"] == cell
    assert row["connect_ms"] == "-0.5"


@given(st.text())
def test_no_text_makes_a_cell_begin_like_a_formula(text: str) -> None:
    _, line = files.codes_csv(
        [replace(sample(1, 1).per_code[0], sent_at=text)]
    ).splitlines()  # fmt: skip
    (row,) = csv.reader([line])
    assert not row[1].lstrip().startswith(tuple("=+-@\t\r\n"))
    assert not [char for char in row[1] if unicodedata.category(char)[0] == "C"]


def test_junit_has_a_case_for_each_rule_and_issues_fail(tmp_path: Path) -> None:
    report = sample(50, 10, missing=100, duplicate=1)
    path = files.write(report, tmp_path, [])[NAMES.index("junit.xml")]
    suites = ET.parse(path).getroot()
    suite = suites.find("testsuite")
    assert suite is not None
    cases = suite.findall("testcase")
    failed = [case for case in cases if case.find("failure") is not None]
    assert [case.get("name") for case in cases] == [
        reason.rule for reason in report.verdict.reasons
    ]
    assert [case.get("name") for case in failed] == ["codes_received"]
    assert suite.get("failures") == suites.get("failures") == "1"
    assert suite.get("tests") == suites.get("tests") == str(len(cases))
    assert float(suite.get("time", "")) == pytest.approx(62.9)
    failure = failed[0].find("failure")
    assert failure is not None
    assert "400 of 500 owed deliveries" in failure.get("message", "")
    assert "server's logs" in (failure.text or "")
    said = {case.get("name"): case.findtext("system-out") or "" for case in cases}
    assert said["duplicates"].startswith("warning: 1 further copy")
    assert said["connection_success"].startswith("good: ")
    assert "400 of 500 owed" in (suite.findtext("system-out") or "")


def test_junit_is_readable_by_a_junit_parser(tmp_path: Path) -> None:
    report = sample(50, 10, missing=100, duplicate=1, refused=20)
    xml = junitparser.JUnitXml.fromfile(
        str(files.write(report, tmp_path, [])[NAMES.index("junit.xml")])
    )
    assert isinstance(xml, junitparser.JUnitXml)
    (suite,) = xml
    reasons = {reason.rule: reason for reason in report.verdict.reasons}
    assert suite.name == "sseload"
    assert suite.timestamp == "2026-11-24T09:30:00"
    assert (suite.tests, suite.failures, suite.errors) == (
        len(reasons), sum(reason.grade == "issues" for reason in reasons.values()), 0,
    )  # fmt: skip
    assert suite.time == pytest.approx(62.9)
    properties = suite.properties()  # type: ignore[no-untyped-call]
    assert {each.name: each.value for each in properties}["verdict"] == "issues"
    for case in suite:
        reason = reasons.pop(case.name)
        assert case.classname == "sseload.verdict"
        assert case.is_passed == (reason.grade != "issues")
        assert case.system_out.startswith(f"{reason.grade}: {reason.sentence}")
        for failure in case.result:
            assert isinstance(failure, junitparser.Failure)
            assert failure.message == reason.sentence
    assert not reasons
    before = (suite.tests, suite.failures, suite.errors, suite.skipped)
    # Counted again by the reader, from the cases themselves.
    suite.update_statistics()  # type: ignore[no-untyped-call]
    assert (suite.tests, suite.failures, suite.errors, suite.skipped) == before


def test_junit_is_valid_xml_for_any_text(tmp_path: Path) -> None:
    report = sample(50, 10, unavailable=20)
    for each in report.verdict.reasons:
        each.sentence += "\x00\x1b[2J <b>&amp;]]> \ud800 \ufffe"
    path = files.write(report, tmp_path, [])[NAMES.index("junit.xml")]
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"[\x00-\x08\x0b-\x1f\ufffe]", text)
    assert "<b>&amp;]]>" in (ET.fromstring(text).findtext("testsuite/testcase/system-out") or "")


def test_an_unwritable_directory_is_refused_before_the_run(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ReportError, match=r"no report can be written there \(.+\); name"):
            files.prepare(path)
    ready = files.prepare(tmp_path / "new" / "place")
    assert ready.is_dir()
    assert not list(ready.iterdir())


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a read-only file system: /proc")
def test_a_read_only_directory_is_refused_before_the_run() -> None:
    with pytest.raises(ReportError, match="name another directory"):
        files.prepare("/proc/self/report")


def test_one_unwritable_file_does_not_prevent_the_others(tmp_path: Path) -> None:
    (tmp_path / "codes.csv").mkdir()
    (tmp_path / "codes.csv" / "full").touch()
    report = sample(2, 1)
    with pytest.raises(ReportError, match=r"could not write codes\.csv \(.*\)\.$") as raised:
        files.write(report, tmp_path, connection_rows(report))
    assert [path.name for path in raised.value.written] == [
        name for name in NAMES if name != "codes.csv"
    ]
    assert not list(tmp_path.glob(".*"))


def test_a_full_disk_keeps_the_old_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = sample(2, 1)
    files.write(report, tmp_path, connection_rows(report))
    before = (tmp_path / "report.json").read_bytes()

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ReportError) as raised:
        files.write(sample(3, 2), tmp_path, [])
    assert str(raised.value) == (
        f"{tmp_path}: could not write "
        + ", ".join(f"{name} (no space left on device)" for name in NAMES)
        + "."
    )
    assert (tmp_path / "report.json").read_bytes() == before
    assert not list(tmp_path.glob(".*"))


def test_a_file_that_cannot_be_rendered_does_not_prevent_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(report: Any) -> str:
        raise KeyError("codes")

    monkeypatch.setattr(html, "document", fail)
    monkeypatch.setattr(files, "codes_csv", fail)
    with pytest.raises(ReportError) as raised:
        files.write(sample(), tmp_path, connection_rows(sample()))
    assert str(raised.value) == (
        f"{tmp_path}: could not write codes.csv (KeyError, see the log), "
        "report.html (KeyError, see the log)."
    )
    there = {*NAMES} - {"codes.csv", "report.html"}
    assert {each.name for each in tmp_path.iterdir()} == there
    assert {each.name for each in raised.value.written} == there
    assert "codes.csv could not be made" in caplog.text


def test_copies_are_made_once_and_written_to_each_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report, calls = sample(), Counter[str]()

    def document(rendered: Any) -> str:
        calls["html"] += 1
        return f"<p>{rendered.run.id}"

    monkeypatch.setattr(html, "document", document)
    (tmp_path / "file").write_text("in the way")
    first, second, no_folder = (tmp_path / name for name in ("a", "b", "file"))
    with pytest.raises(ReportError) as raised:
        files.write(report, first, connection_rows(report), copies=[no_folder, second])
    assert calls == {"html": 1}
    assert str(raised.value).startswith(f"{no_folder}: could not write report.json (")
    for name in NAMES:
        assert (first / name).read_bytes() == (second / name).read_bytes()
    assert sorted(raised.value.written) == sorted(
        path / name for path in (first, second) for name in NAMES
    )


def test_all_channels_are_in_a_file_the_worst_first(tmp_path: Path) -> None:
    report = sample(60, 60, channels=30, leaked=4, missing=3)
    files.write(report, tmp_path, connection_rows(report))
    with (tmp_path / "channels.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == [each.name for each in report.channels]
    assert (len(rows), rows[0]["leaked"]) == (30, "4")
    assert sum(int(row["missing"]) for row in rows) == 3


def test_reports_without_channels_are_read(tmp_path: Path) -> None:
    data = as_data(sample(5, 5))
    for name in ("channels", "leaks", "resume"):
        del data[name]
    for name in ("recovered", "replayed", "leaked", "history"):
        del data["deliveries"][name]
    for row in data["per_code"]:
        del row["channel"], row["recovered"], row["leaked"]
    for row in data["workers"]:
        del row["recovered"], row["leaked"]
    (tmp_path / "report.json").write_text(json.dumps(data))
    assert serialization.read(tmp_path) == sample(5, 5)
