"""What is added to Locust's web UI: its routes, its rights, and Locust's own page with them."""

from __future__ import annotations

import argparse
import copy
import csv
import html
import io
import json
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from locust.env import Environment
from locust.runners import LocalRunner
from locust.web import WebUI

from sseload_users.options import Options
from sseload_users.report import files, history, prometheus
from sseload_users.web.standing import Standing
from sseload_users.web.views import Views
from tests.support import lives
from tests.support.metrics import text_of
from tests.support.pages import parse
from tests.support.reports import as_data, sample
from tests.support.web_client import Conducted, Idle, Led, attach, client, ui
from tests.support.web_ui import form_fields

PAGES = (
    "/delivery", "/delivery/now", "/delivery/page.css", "/delivery/page.js",
    "/delivery/codes.csv", "/delivery/new", "/delivery/new.js", "/delivery/bar",
    "/delivery/bar.css", "/delivery/bar.js", "/metrics",
)  # fmt: skip
OUTCOMES = ("owed", "delivered", "late", "recovered", "interrupted", "missing")
FILES = ("/delivery/report.html", "/delivery/report.json")


@pytest.fixture(scope="module")
def going_on() -> Led:
    return Led(live_run=Conducted(lives.live(lives.account(30, missing=2), 30)))


def test_everything_responds_before_any_run() -> None:
    visitor = client(Led())
    for path in PAGES:
        assert visitor.get(path).status_code == 200, path
    assert "No run yet" in visitor.get("/delivery").text
    assert visitor.get("/metrics").text == ""
    assert list(csv.reader(io.StringIO(visitor.get("/delivery/codes.csv").text)))[1:] == []
    for path in FILES:
        answer = visitor.get(path)
        assert answer.status_code == 404
        assert "no report yet" in answer.text


def test_the_page_loads_only_its_own_files(going_on: Led) -> None:
    visitor = client(going_on)
    page = visitor.get("/delivery")
    assert page.headers["Content-Security-Policy"].startswith("default-src 'none'; ")
    assert "unsafe" not in page.headers["Content-Security-Policy"]
    root = parse(page.text)
    loaded = [each.get("href") for each in root.iter("link")]
    loaded += [each.get("src") for each in root.iter("script")]
    assert loaded == ["delivery/page.css", "delivery/page.js"]
    kinds = {path: visitor.get(path).headers["Content-Type"] for path in PAGES}
    assert kinds["/delivery/page.css"].startswith("text/css")
    assert kinds["/delivery/page.js"].startswith("text/javascript")
    assert kinds["/metrics"] == prometheus.exposition([]).content_type
    for path in PAGES:
        assert visitor.get(path).headers["X-Content-Type-Options"] == "nosniff"
    # Without a script, the page comes again by itself, but only while there is something to see.
    assert root.find(".//noscript/meta[@http-equiv='refresh']") is not None
    assert "http-equiv" not in client(Led(report=sample(5, 2))).get("/delivery").text
    assert visitor.get("/delivery/").headers["Location"] == "/delivery"


def test_unchanged_responses_are_not_sent_again(going_on: Led) -> None:
    visitor = client(going_on)
    tag = visitor.get("/delivery/now").headers["ETag"]
    assert visitor.get("/delivery/now", headers={"If-None-Match": tag}).status_code == 304
    assert visitor.get("/delivery/now", headers={"If-None-Match": '"x"'}).status_code == 200


def test_everything_is_below_locusts_base_path() -> None:
    visitor = client(Led(report=sample(5, 2)), base="/load")
    for path in (*PAGES, *FILES):
        assert visitor.get(f"/load{path}").status_code == 200, path
        assert visitor.get(path).status_code == 404
    assert visitor.get("/load/delivery/").headers["Location"] == "/load/delivery"


def test_everything_requires_the_login() -> None:
    led = Led(report=sample(5, 2))
    made = ui(led, login=True)
    made.login_manager.user_loader(lambda _name: None)
    assert made.app is not None
    visitor = made.app.test_client()
    for path in (*PAGES, *FILES, "/delivery/"):
        answer = visitor.get(path)
        assert answer.status_code == 302, path
        assert "/login" in answer.headers["Location"]
    for path in ("/delivery/new", "/delivery/stop"):
        assert "/login" in visitor.post(path).headers["Location"], path
    assert "k3x9q2" not in visitor.get("/stats/requests").text


def rows_of(visitor: FlaskClient) -> list[dict[str, Any]]:
    stats = json.loads(visitor.get("/stats/requests").text)
    assert stats["state"] == "ready"
    ((key, data),) = ((each["key"], each["data"]) for each in stats["extended_stats"])
    assert key == "delivery"
    rows: list[dict[str, Any]] = data
    return rows


def test_the_tab_has_the_verdict_and_a_row_for_each_code_newest_first(going_on: Led) -> None:
    made = ui(going_on)
    assert made.app is not None
    visitor = made.app.test_client()
    given: dict[str, Any] = made.template_args
    (tab,), (table,) = given["extended_tabs"], given["extended_tables"]
    assert tab["key"] == table["key"] == "delivery"
    columns = [each["key"] for each in table["structure"]]
    assert all(each.isalnum() and each.islower() for each in columns)
    whole, *rows = rows_of(visitor)
    assert [row.keys() for row in rows] == [dict.fromkeys(columns).keys()] * 28
    assert [row["code"] for row in rows] == list(range(28, 0, -1))
    assert {name: rows[-1][name] for name in ("status", *OUTCOMES)} == {
        "status": "accepted", "owed": 50, "delivered": 48, "late": 0, "recovered": 0,
        "interrupted": 0, "missing": 2,
    }  # fmt: skip
    assert going_on.live_run is not None
    so_far = Standing.of(Views(going_on).shown())
    assert so_far.report is not None
    assert whole["status"] == f"{so_far.grade} so far" != "good so far"
    assert {name: whole[name] for name in OUTCOMES} == {
        name: getattr(so_far.report.deliveries, name) for name in OUTCOMES
    }
    assert rows[-1]["sent"] == "09:30:02.250"
    assert 0 < rows[-1]["first"] <= rows[-1]["median"] <= rows[-1]["p99"] <= rows[-1]["last"]
    # Locust remembers its answer, and ours is in it.
    assert len(rows_of(visitor)) == 29


def test_additions_of_other_plugins_are_kept() -> None:
    environment = Environment(user_classes=[Idle])
    environment.create_local_runner()
    made = WebUI(environment, "127.0.0.1", 0, delayed_start=True)
    theirs = {"key": "theirs", "data": [{"a": 1}]}
    made.template_args["extended_tabs"] = [{"title": "Theirs", "key": "theirs"}]
    assert made.app is not None
    attach(made, Views(Led(report=sample(5, 2))))

    @made.app.after_request
    def add(answer: Any) -> Any:
        # Theirs runs first, as it was added last.
        if answer.is_json:
            answer.set_data(json.dumps(answer.get_json() | {"extended_stats": [theirs]}))
        return answer

    given: dict[str, Any] = made.template_args
    assert [each["key"] for each in given["extended_tabs"]] == ["theirs", "delivery"]
    stats = json.loads(made.app.test_client().get("/stats/requests").text)
    assert [each["key"] for each in stats["extended_stats"]] == ["theirs", "delivery"]


def test_a_bar_stands_above_locusts_page() -> None:
    led = Led(trouble="--codes 0 cannot be.")
    visitor = client(led, base="/load")
    page = visitor.get("/load/").text
    for link in ("./delivery", "./delivery/new"):
        assert page.count(f'href="{link}"') == 1
        assert page.index(f'href="{link}"') < page.index('<div id="root">')
    assert "--codes 0 cannot be." in page
    assert "extended_tabs" in page
    led.report, led.trouble = sample(5, 2, missing=1), ""
    bar = visitor.get("/load/delivery/bar").text
    assert "Issues" in bar
    assert "of what connected clients were owed" in bar
    assert "./delivery/report.html" in bar


def test_locusts_page_is_told_of_the_end_once_the_account_is_closed(
    going_on: Led, monkeypatch: pytest.MonkeyPatch
) -> None:
    led = Led(live_run=going_on.live_run)
    made = ui(led)
    assert made.app is not None
    runner = made.environment.runner
    assert runner is not None
    runner.state = "stopped"
    assert made.app.test_client().get("/stats/requests").get_json()["state"] == "running"
    later = ui(Led(report=sample(5, 2)))
    assert later.app is not None
    assert later.environment.runner is not None
    later.environment.runner.state = "stopped"
    stats = later.app.test_client().get("/stats/requests").get_json()
    assert stats["state"] == "stopped"
    assert stats["extended_stats"][0]["data"][0]["status"] == "good"


def test_a_finished_run_keeps_all_its_files() -> None:
    report = sample(40, 250, missing=9)
    visitor = client(Led(report=report))
    assert visitor.get("/delivery/codes.csv").text == files.codes_csv(report.per_code)
    assert json.loads(visitor.get("/delivery/report.json").text) == as_data(report)
    page = visitor.get("/delivery/report.html")
    assert "style-src 'sha256-" in html.unescape(page.text)
    assert page.headers["Content-Security-Policy"] == "frame-ancestors 'self'"
    assert visitor.get("/metrics").text == text_of(report)
    rows = rows_of(visitor)
    assert (rows[1]["code"], len(rows)) == (250, 101)
    for name, kind in (("report.html", "text/html"), ("report.json", "application/json")):
        kept = visitor.get(f"/delivery/{name}?download")
        assert kept.headers["Content-Type"].startswith(kind)
        assert kept.headers["Content-Disposition"] == f'attachment; filename="{name}"'
        assert "Content-Disposition" not in visitor.get(f"/delivery/{name}").headers
    assert "150 earlier codes" not in visitor.get("/delivery").text
    assert "230 earlier codes" in visitor.get("/delivery").text


def test_successive_runs_are_shown(going_on: Led) -> None:
    led = Led(report=sample(5, 2))
    visitor = client(led)
    seen = [visitor.get("/delivery/now").text]
    led.report, led.live_run = None, going_on.live_run
    seen.append(visitor.get("/delivery/now").text)
    assert visitor.get("/delivery/report.json").status_code == 404
    led.report, led.live_run = sample(7, 2, refused=2), None
    led.report.run.id = "second"
    seen.append(visitor.get("/delivery/now").text)
    led.trouble = "--codes 0 cannot be."
    seen.append(visitor.get("/delivery/now").text)
    assert len(set(seen)) == 4
    assert "--codes 0 cannot be." in seen[-1]
    assert json.loads(visitor.get("/delivery/report.json").text)["run"]["id"] == "second"


def test_concurrent_requests_share_one_rendering(
    going_on: Led, monkeypatch: pytest.MonkeyPatch
) -> None:
    import gevent

    from sseload_users.web import delivery_page as delivery

    made: list[int] = []
    draw = delivery.fragment

    def counted(*given: Any) -> str:
        made.append(1)
        return draw(*given)

    monkeypatch.setattr(delivery, "fragment", counted)
    views = Views(going_on)
    asked = [gevent.spawn(views.fragment) for _ in range(5)]
    gevent.joinall(asked, timeout=20)
    assert len({each.value for each in asked}) == 1
    assert len(made) == 1


@pytest.fixture
def broken() -> FlaskClient:
    class Broken(Views):
        def fragment(self) -> str:
            raise ZeroDivisionError

        def tab(self) -> list[dict[str, Any]]:
            raise ZeroDivisionError

    environment = Environment(user_classes=[Idle])
    environment.create_local_runner()
    made = WebUI(environment, "127.0.0.1", 0, delayed_start=True)
    assert made.app is not None
    attach(made, Broken(Led()))
    return made.app.test_client()


def test_a_bug_in_sseload_does_not_break_locust(
    broken: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    assert json.loads(broken.get("/stats/requests").text)["state"] == "ready"
    answer = broken.get("/delivery")
    assert answer.status_code == 500
    assert "a bug in sseload" in answer.text
    assert "Traceback" not in answer.text
    assert len([each for each in caplog.records if each.exc_info]) == 2


@pytest.fixture
def form() -> tuple[FlaskClient, argparse.Namespace]:
    """A client of the web UI, and Locust's options."""
    made = ui(Led())
    parsed = made.environment.parsed_options
    assert parsed is not None
    assert made.app is not None
    return made.app.test_client(), parsed


@pytest.mark.parametrize(
    ("field", "text", "sentence"),
    [
        ("codes", "ten", "Invalid --codes 'ten': use a whole number."),
        ("codes", "2.5", "Invalid --codes '2.5': use a whole number."),
        ("codes", "0", "Invalid --codes 0: it must be 1 or more."),
        ("duration", "long", "Invalid --duration 'long': use a number."),
        ("duration", "nan", "Invalid --duration nan: it must be 0 or more."),
        ("delivery_timeout", "5 s", "Invalid --delivery-timeout '5 s': use a number."),
        ("pace", "fast", "Invalid --pace 'fast': use a number."),
        ("target", "nobody", "nobody"),
        ("host", "ftp://x", "ftp://x"),
        ("users_file", "no-such-file.csv", "no-such-file.csv: "),
        ("user_count", "9999999", "do not fit"),
    ],
)
def test_the_form_refuses_an_invalid_value_in_one_sentence(
    form: tuple[FlaskClient, argparse.Namespace], field: str, text: str, sentence: str
) -> None:
    browser, parsed = form
    before = copy.deepcopy(vars(parsed))
    entered = {"user_count": "3", "spawn_rate": "1", "host": "http://127.0.0.1:1", field: text}
    answer = browser.post("/swarm", data=entered)
    assert answer.status_code == 200
    assert answer.json is not None
    assert answer.json["success"] is False
    assert sentence in answer.json["message"]
    assert vars(parsed) == before


def test_the_form_keeps_what_was_entered_and_no_secret(
    form: tuple[FlaskClient, argparse.Namespace], monkeypatch: pytest.MonkeyPatch
) -> None:
    browser, parsed = form
    monkeypatch.setattr(LocalRunner, "start", lambda *_, **__: None)
    shown = form_fields(browser.get("/").text)
    assert shown["duration"]["default_value"] in (None, "")
    assert "delivery>=99.9%, " in shown["objective"]["help_text"]
    assert shown["pace"]["help_text"] == "100 % is everything"
    parsed.run_time = 30
    entered = {
        "codes": "7", "duration": "9", "reconnect": "true", "pace": "2", "settle": "",
        "host": "http://127.0.0.1:1",
    }  # fmt: skip
    answer = browser.post("/swarm", data={"user_count": "3", "spawn_rate": "1", **entered})
    assert answer.json is not None
    assert answer.json["success"] is True, answer.json
    found = Options.read(parsed)
    assert (found.codes, found.duration, found.reconnect, found.settle) == (7, 9.0, True, 1.0)
    # Without a limit in the form, Locust sets none.
    assert parsed.run_time is None
    shown = form_fields(browser.get("/").text)
    for name, value in (("codes", 7), ("duration", "9"), ("reconnect", True), ("pace", 2.0)):
        assert shown[name]["default_value"] == value
    # A number without a default that is cleared is forgotten.
    assert browser.post(
        "/swarm", data={"user_count": "3", "spawn_rate": "1", **entered, "duration": ""}
    ).get_json()["success"]
    assert Options.read(parsed).duration is None
    parsed.value = "token=hunter2"
    assert form_fields(browser.get("/").text)["value"]["default_value"] == ""
    for page in ("/", "/delivery/new"):
        assert "hunter2" not in browser.get(page).text


def test_runs_that_were_kept_are_listed_shown_and_compared(tmp_path: Path) -> None:
    for number in (1, 2):
        report = sample(30, 10, seed=number)
        report.run.id = f"kept{number}"
        report.run.started_at = f"2026-10-0{number}T02:00:00.000Z"
        history.keep(report, tmp_path)
        files.write(report, history.folder_of(tmp_path, report), [])
    visitor = client(Led(), kept_in=str(tmp_path))
    assert 'href="delivery/runs/"' in visitor.get("/delivery").text
    listed = visitor.get("/delivery/runs/").text
    assert listed.index("kept2") < listed.index("kept1")
    assert "kept1" in visitor.get("/delivery/runs/kept1.html").text
    assert "A: run kept1" in visitor.get("/delivery/runs/compare?a=kept1&b=kept2").text
    assert "Trend of 2 runs" in visitor.get("/delivery/runs/trend?name=").text
    for path in ("x.html", "compare?a=kept1", "trend?name=x", "../../etc/passwd.html"):
        assert visitor.get(f"/delivery/runs/{path}").status_code == 404


def test_without_a_history_no_run_is_kept() -> None:
    visitor = client(Led())
    assert "delivery/runs" not in visitor.get("/delivery").text
    answer = visitor.get("/delivery/runs/")
    assert answer.status_code == 404
    assert "start with --history DIR" in answer.text
