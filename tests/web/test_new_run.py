"""The form at /delivery/new: what is in it, what it refuses, and what it starts."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import gevent
import pytest
from flask.testing import FlaskClient
from locust import LoadTestShape, User, task
from locust.runners import LocalRunner
from locust.web import WebUI
from werkzeug.test import TestResponse

from sseload_users import CodeBroadcaster, CodeListener
from sseload_users.options import Options
from sseload_users.run import kept_configs
from sseload_users.targets.profile import names
from sseload_users.web.new_run import NewRun
from tests.support import lives
from tests.support.pages import classes, parse, words
from tests.support.ports import free_port
from tests.support.web_client import Conducted, Led, ui

HOST = "http://127.0.0.1:1"
SAME = {"Origin": "http://localhost"}


class Started:
    """What Locust's runner was asked to start."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, led: Led) -> None:
        self.users: list[tuple[int, float]] = []

        def start(_: LocalRunner, users: int, rate: float, **__: object) -> None:
            self.users.append((users, rate))
            led.live_run = Conducted(lives.live(lives.account(5), 5))

        monkeypatch.setattr(LocalRunner, "start", start)


class Form:
    """The form as a browser without script shows and sends it."""

    def __init__(self, led: Led, *own: type[User]) -> None:
        self.ui: WebUI = ui(led, classes=own or (CodeListener, CodeBroadcaster))
        self.ui.environment.host = HOST
        assert self.ui.app is not None
        self.client: FlaskClient = self.ui.app.test_client()
        self.root = parse(self.client.get("/delivery/new").text)

    def control(self, name: str) -> ET.Element:
        (found,) = (each for each in self.root.iter() if each.get("name") == name)
        return found

    def values(self) -> dict[str, str]:
        """What the browser would send."""
        found: dict[str, str] = {}
        for each in self.root.iter():
            name = each.get("name")
            if name is None or "disabled" in each.attrib:
                continue
            if each.tag == "select":
                (chosen,) = (one for one in each if "selected" in one.attrib)
                found[name] = chosen.get("value", "")
            elif each.get("type") == "checkbox":
                if "checked" in each.attrib:
                    found[name] = each.get("value", "")
            elif each.tag == "input":
                found[name] = each.get("value", "")
        return found

    def send(self, **changes: str) -> TestResponse:
        """Change fields, and press the button that starts, or the one that fills in."""
        entered = {**self.values(), **changes}
        answer = self.client.post("/delivery/new", data=entered, headers=SAME)
        if answer.status_code != 303:
            self.root = parse(answer.text)
        return answer

    def errors(self) -> dict[str, str]:
        """The mistakes that are shown beside fields."""
        assert all(each.get("id", "").endswith("-error") for each in classes(self.root, "error"))
        return {
            each.get("id", "").removesuffix("-error"): words(each).removeprefix("✗ ")
            for each in classes(self.root, "error")
        }


@pytest.fixture
def led() -> Led:
    return Led()


@pytest.fixture
def form(led: Led) -> Form:
    return Form(led)


def test_the_form_has_sensible_values_before_the_first_run(form: Form) -> None:
    values = form.values()
    assert values["connections"] == "50"
    assert values["spawn_rate"] == "100"
    assert values["host"] == HOST
    assert (values["codes"], values["target"], values["shape"]) == ("10", "code-server", "")
    order = [each.get("name") for each in form.root.iter() if each.get("name")]
    first = ["shape", "fill", "host", "target", "target_file", "connections", "codes", "duration"]
    assert [name for name in order if name in first] == first
    assert order.index("duration") < min(order.index(name) for name in ("settle", "reconnect"))
    profiles = [each.get("value") for each in form.control("target")]
    assert profiles == [*names(), "file"]
    shapes = [each.get("value") for each in form.control("shape")]
    assert shapes == ["", *kept_configs.descriptions()]
    # The embedded target of this shape is not the one that runs.
    (deploy,) = (each for each in form.control("shape") if each.get("value") == "deploy")
    assert "disabled" in deploy.attrib
    assert "sseload ui --config deploy" in words(deploy)


def test_every_field_has_a_label_a_flag_and_its_bounds(form: Form) -> None:
    labels = {each.get("for") for each in form.root.iter("label")}
    wrapped = {
        control.get("id") for label in form.root.iter("label") for control in label.iter("input")
    }
    hints = {each.get("id"): words(each) for each in classes(form.root, "hint")}
    for each in form.root.iter():
        if each.tag in ("input", "select") and each.get("type") != "hidden":
            assert each.get("id") in labels | wrapped
            for described in (each.get("aria-describedby") or "").split():
                assert hints[described]
    assert hints["slow_share-hint"].endswith("0 to 1, 0 if empty --slow-share")
    assert "1 or more, 10 if empty" in hints["codes-hint"]
    # Locust's form has each of these fields, too, and those of other plugins.
    options = form.ui.template_args["extra_options"]
    assert options.keys() <= {each.get("name") for each in form.root.iter()}
    assert "pace" in options


def test_mistakes_are_shown_by_their_fields_before_anything_starts(
    form: Form, led: Led, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = Started(monkeypatch, led)
    answer = form.send(
        connections="many", spawn_rate="0", run_time="soon", codes="0", duration="ten",
        host="ftp://x", target="file", target_file="none.toml", slow_share="2", pace="fast",
        flap_how="loudly",
    )  # fmt: skip
    assert answer.status_code == 422
    assert {name: each.split(": ")[0] for name, each in form.errors().items()} == {
        "connections": "Invalid number of connections 'many'",
        "spawn_rate": "Invalid --spawn-rate 0",
        "run_time": "Invalid --run-time 'soon'",
        "codes": "Invalid --codes 0",
        "duration": "Invalid --duration 'ten'",
        "host": "Invalid host 'ftp://x'",
        "target": "none.toml",
        "slow_share": "Invalid --slow-share 2",
        "pace": "Invalid --pace 'fast'",
        "flap_how": "Invalid --flap-how 'loudly'",
    }
    # What was typed stays, groups with mistakes are open, and links lead to the fields.
    assert form.control("codes").get("value") == "0"
    assert form.control("connections").get("aria-invalid") == "true"
    (listed,) = (each for each in form.root.iter() if each.get("id") == "mistakes")
    links = [each.get("href", "")[1:] for each in listed.iter("a")]
    assert set(links) == form.errors().keys()
    assert {each.get("id") for each in form.root.iter()} >= set(links)
    opened = [each.get("data-group") for each in form.root.iter("details") if "open" in each.attrib]
    assert opened == ["Connections", "Ramp up and time limit", "The locustfile"]
    assert started.users == []


@pytest.mark.parametrize(
    ("changes", "field", "sentence"),
    [
        ({"users_file": "none.csv"}, "users_file", "none.csv: cannot read the users file"),
        ({"storm_after": "60"}, "storm_after", "Invalid --storm-after 60: the run ends after"),
        ({"observe": "true"}, "observe", "--observe: target code-server lacks code.id"),
        ({"ladder": "5,10", "search": "rate"}, "ladder", "exclude each other"),
        ({"connections": "5000000"}, "connections", "do not fit"),
        ({"value": "token=hunter2"}, "value", "--value token: target code-server has no {token}"),
        ({"payload_bytes": "many"}, "payload_bytes", "many"),
        ({"objective": "fast"}, "objective", "fast"),
    ],
)
def test_what_fields_come_to_together_is_said_at_one_of_them(
    form: Form, changes: dict[str, str], field: str, sentence: str
) -> None:
    before = dict(vars(form.ui.environment.parsed_options or object()))
    assert form.send(**changes).status_code == 422
    (said,) = form.errors().items()
    assert said[0] == field
    assert sentence in said[1]
    assert "hunter2" not in ET.tostring(form.root, "unicode")
    assert vars(form.ui.environment.parsed_options or object()) == before


def test_a_run_starts_and_what_was_typed_stays(
    form: Form, led: Led, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = Started(monkeypatch, led)
    answer = form.send(
        connections="20", codes="7", duration="", target="websocket", reconnect="true",
        settle="0.5", run_time="2m", pace="3",
    )  # fmt: skip
    assert answer.status_code == 303
    assert answer.headers["Location"] == "../delivery"
    assert started.users == [(21, 100.0)]
    parsed = form.ui.environment.parsed_options
    assert parsed is not None
    found = Options.read(parsed)
    assert (found.codes, found.duration, found.target) == (7, None, "websocket")
    assert (found.reconnect, found.settle, parsed.run_time, parsed.pace) == (True, 0.5, 120, 3.0)

    # While it runs, no other is started.
    form.root = parse(form.client.get("/delivery/new").text)
    assert "A run is going on" in words(form.root)
    assert form.send().status_code == 409
    assert len(started.users) == 1

    led.live_run = None
    again = Form.__new__(Form)
    again.ui, again.client = form.ui, form.client
    again.root = parse(form.client.get("/delivery/new").text)
    kept = ("connections", "codes", "duration", "target", "reconnect", "settle", "run_time", "pace")
    assert [again.values()[name] for name in kept] == [
        "20", "7", "", "websocket", "true", "0.5", "120", "3",
    ]  # fmt: skip
    # A switch that is turned off, and a limit that is taken away, do not come back.
    assert again.send(reconnect="", run_time="", duration="4").status_code == 303
    assert Options.read(parsed).reconnect is False
    assert (parsed.run_time, Options.read(parsed).duration) == (None, 4)


def test_a_shape_fills_in_the_form_and_another_one_replaces_it(
    form: Form, led: Led, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = Started(monkeypatch, led)
    assert form.send(shape="storm", fill="yes", name="nightly").status_code == 200
    values = form.values()
    assert [values[name] for name in ("connections", "codes", "storm_after", "spawn_rate")] == [
        "200", "60", "20", "50",
    ]  # fmt: skip
    assert values["name"] == "nightly"
    (summary,) = (
        words(each.find("summary"))
        for each in form.root.iter("details")
        if each.get("data-group") == "Connections"
    )
    assert summary == "Connections storm after 20"

    assert form.send(shape="slow-consumers", fill="yes").status_code == 200
    values = form.values()
    assert [values[name] for name in ("connections", "storm_after", "slow_share")] == [
        "100", "0", "0.1",
    ]  # fmt: skip

    # A shape that was chosen but not filled in does not start what the form shows.
    assert form.send(shape="ladder").status_code == 200
    assert "Nothing was started" in words(form.root)
    assert form.values()["ladder"] == "50,100,200,500"
    assert started.users == []
    assert form.send().status_code == 303
    assert started.users == [(2, 50.0)]
    assert form.ui.environment.parsed_options is not None
    assert Options.read(form.ui.environment.parsed_options).ladder == (50, 100, 200, 500)


def test_every_shape_that_can_be_chosen_is_valid(
    form: Form, led: Led, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = Started(monkeypatch, led)
    for each in form.control("shape"):
        if "disabled" not in each.attrib:
            assert form.send(shape=each.get("value", ""), fill="yes").status_code == 200
            led.live_run = None
            assert form.send().status_code == 303, form.errors()
    assert len(started.users) == len(kept_configs.descriptions())


def test_an_unknown_shape_is_refused(form: Form) -> None:
    assert form.send(shape="strom", fill="yes").status_code == 422
    assert "did you mean storm?" in form.errors()["shape"]


def test_the_command_lines_shape_is_chosen() -> None:
    form = Form(Led())
    parsed = form.ui.environment.parsed_options
    assert parsed is not None
    parsed.num_users, parsed.spawn_rate = 201, 50
    for name, value in (("codes", 60), ("duration", 60.0), ("storm_after", 20.0)):
        setattr(parsed, name, value)
    other = ui(Led(), classes=(CodeListener, CodeBroadcaster))
    other.environment.parsed_options = parsed
    assert other.app is not None
    root = parse(other.app.test_client().get("/delivery/new").text)
    (chosen,) = (
        each.get("value")
        for select in root.iter("select")
        if select.get("name") == "shape"
        for each in select
        if "selected" in each.attrib
    )
    assert chosen == "storm"


def test_pages_of_other_sites_start_and_stop_nothing(
    form: Form, led: Led, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = Started(monkeypatch, led)
    stopped: list[bool] = []
    monkeypatch.setattr(LocalRunner, "stop", lambda _: stopped.append(True))
    for headers, allowed in (
        ({"Origin": "http://localhost"}, True),
        ({"Sec-Fetch-Site": "same-origin"}, True),
        ({}, True),
        ({"Origin": "http://localhost.example"}, False),
        ({"Origin": "null"}, False),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost"}, False),
        ({"Sec-Fetch-Site": "same-site"}, False),
    ):
        led.live_run = None
        started.users.clear()
        stopped.clear()
        for path in ("new", "stop"):
            answer = form.client.post(f"/delivery/{path}", data=form.values(), headers=headers)
            assert answer.status_code == (303 if allowed else 403), headers
        gevent.sleep(0)
        assert len(started.users) == len(stopped) == allowed, headers
    assert form.client.get("/delivery/stop").status_code == 405


def test_what_the_locustfile_sets_cannot_be_entered(
    led: Led, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Subscriber(CodeListener):
        target = "websocket"

    class Sender(CodeBroadcaster):
        target = "websocket"
        codes = 7

    class Visitor(User):
        @task
        def visit(self) -> None:
            """Nothing."""

    form = Form(led, Subscriber, Sender, Visitor)
    assert form.control("codes").get("value") == "7"
    for name in ("codes", "target"):
        assert "disabled" in form.control(name).attrib
    (hint,) = (each for each in form.root.iter() if each.get("id") == "codes-hint")
    assert words(hint) == "set by the locustfile"
    assert "Visitor" in words(form.root)
    started = Started(monkeypatch, led)
    assert form.send().status_code == 303
    assert started.users == [(51, 100.0)]


def test_a_load_shape_sets_the_number_of_connections(
    form: Form, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Steps(LoadTestShape):
        def tick(self) -> None:
            """Never."""

    started: list[bool] = []
    monkeypatch.setattr(LocalRunner, "start_shape", lambda _: started.append(True))
    form.ui.environment.shape_class = Steps()  # type: ignore[no-untyped-call]
    form.root = parse(form.client.get("/delivery/new").text)
    for name in ("connections", "spawn_rate", "run_time"):
        assert "disabled" in form.control(name).attrib
        assert form.control(name).get("value") == ""
    form.client.post("/delivery/new", data=form.values(), headers=SAME)
    assert started == [True]
    Steps.use_common_options = True
    form.root = parse(form.client.get("/delivery/new").text)
    assert "disabled" not in form.control("connections").attrib
    assert form.control("connections").get("value") == "50"


def test_locusts_refusal_is_shown(form: Form, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(NewRun, "_mistakes", lambda *_: {})
    form.send(spawn_rate="-1")
    assert "Missing or invalid user_count or spawn_rate" in words(form.root)


def test_a_master_without_workers_starts_nothing(led: Led) -> None:
    form = Form(led)
    environment = form.ui.environment
    environment.runner = None
    runner = environment.create_master_runner("127.0.0.1", free_port())
    try:
        assert form.send().status_code == 409
        assert "No worker has connected yet" in words(form.root)
    finally:
        runner.quit()
