"""The page /delivery/new, a form that starts a run, and the button that stops it."""

from __future__ import annotations

import time
from argparse import Namespace
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import gevent
from flask import Response, copy_current_request_context, current_app, redirect, request
from locust.argument_parser import ui_extra_args_dict
from locust.runners import STATE_RUNNING, STATE_SPAWNING, MasterRunner
from locust.web import WebUI
from werkzeug.datastructures import ImmutableMultiDict
from werkzeug.wrappers import Response as AnyResponse

from sseload_users.core.errors import ConfigError
from sseload_users.core.option_spec import spec_of
from sseload_users.report import pages
from sseload_users.run.next_run import NextRun
from sseload_users.web import entries, run_form
from sseload_users.web.entries import DECLARED
from sseload_users.web.run_form import CONNECTIONS, OWN_PROFILE, SPAWN_RATE, RunForm
from sseload_users.web.same_origin import is_same_origin
from sseload_users.web.views import Views

#: Seconds to wait for a run to begin, so that the page that follows shows it.
_PATIENCE_S = 3.0
#: Relative, as all links are: a proxy may serve the pages below a path of its own.
_SHOWN = "../delivery"
_RUNNING = "A run is going on: stop it, or wait for its end."


class NewRun:
    """The form for a run.

    Args:
        web_ui: Locust's.
        views: what is shown of runs.
        next_run: what is known of the run that the form describes.
    """

    def __init__(self, web_ui: WebUI, views: Views, next_run: NextRun) -> None:
        self._web_ui = web_ui
        self._views = views
        self._next_run = next_run
        #: The shipped set of options that the latest run began with.
        self._shape: str | None = None

    def show(self) -> AnyResponse:
        """Answer with the form, filled in with the options of the latest run."""
        texts = self._latest()
        if self._shape is None:
            self._shape = self._shape_of(texts)
        return self._page({**texts, "shape": self._shape}, {})

    def submit(self) -> AnyResponse:
        """Start the run that the form describes, or answer with its mistakes."""
        if not is_same_origin(request):
            return _foreign()
        texts = self._entered()
        try:
            if "fill" in request.form or texts["shape"] != request.form.get("filled", ""):
                return self._filled(texts)
        except ConfigError as error:
            return self._page(texts, {"shape": str(error)}, status=422)
        if obstacle := self._obstacle():
            return self._page(texts, {"": obstacle}, status=409)
        if errors := self._mistakes(texts):
            return self._page(texts, errors, status=422)
        return self._start(texts)

    def stop(self) -> AnyResponse:
        """Stop the run that is going on."""
        if not is_same_origin(request):
            return _foreign()
        # It takes as long as codes are on their way, and the page shows it.
        gevent.spawn(copy_current_request_context(current_app.view_functions["locust.stop"]))
        return redirect(_SHOWN, 303)

    def _parsed(self) -> Namespace:
        parsed: Namespace = self._web_ui.environment.parsed_options or Namespace()
        return parsed

    @cached_property
    def _others(self) -> dict[str, Mapping[str, Any]]:
        """The options in Locust's form that are not sseload's, as Locust describes them."""
        known = ui_extra_args_dict()
        return {name: each for name, each in known.items() if name not in DECLARED}

    def _latest(self) -> dict[str, str]:
        """Return the options of the latest run, or of the command line, without secrets."""
        texts = run_form.defaults(self._others)
        parsed = vars(self._parsed())
        secret = {name for name, each in self._others.items() if each["is_secret"]}
        secret |= {name for name, each in DECLARED.items() if spec_of(each).secret}
        for name in texts.keys() & parsed.keys() - secret:
            if parsed[name] is not None:
                texts[name] = run_form.shown(parsed[name])
        if users := parsed.get("num_users"):
            texts["connections"] = str(max(1, users - self._next_run.fixed_users))
        texts["host"] = self._next_run.host
        return texts

    def _entered(self) -> dict[str, str]:
        """Return what was entered; a field that is not sent has its default."""
        texts = run_form.defaults(self._others)
        switches = run_form.switches(self._others)
        for name, default in texts.items():
            # A switch that is off is not sent.
            texts[name] = request.form.get(name, "" if name in switches else default).strip()
        if texts["target"] == OWN_PROFILE:
            texts["target"] = request.form.get("target_file", "").strip()
        texts |= {name: value for name, (value, _) in self._set_by().items()}
        texts["connections"] = texts["connections"] or str(CONNECTIONS)
        texts["spawn_rate"] = texts["spawn_rate"] or str(SPAWN_RATE)
        return texts

    def _filled(self, texts: dict[str, str]) -> AnyResponse:
        """Answer with the form, with what a set of options says in it."""
        chosen, before = texts["shape"], request.form.get("filled", "")
        fixed = self._next_run.fixed_users
        as_before = run_form.shape_texts(before, fixed).keys()
        initial = run_form.defaults(self._others)
        reset = {name: initial[name] for name in as_before}
        new = run_form.shape_texts(chosen, fixed)
        words = f"The options of the shape {chosen} are filled in." if chosen else ""
        if "fill" not in request.form:
            words += " Nothing was started: check them, and start."
        return self._page({**texts, **reset, **new}, {}, words=words.strip())

    def _shape_of(self, texts: Mapping[str, str]) -> str:
        """Return the shipped set of options that the command line named; empty for none."""
        fixed = self._next_run.fixed_users
        for each in run_form.shapes(vars(self._parsed())):
            said = run_form.shape_texts(each.value, fixed) if each.enabled else {}
            if said and all(texts[name] == text for name, text in said.items()):
                return each.value
        return ""

    def _set_by(self) -> dict[str, tuple[str, str]]:
        """Return the fields that user classes set: their value, and who sets it."""
        said: dict[str, tuple[str, str]] = {
            name: (run_form.shown(value), "the locustfile")
            for name, value in self._next_run.set_in_code().items()
        }
        shape = self._web_ui.environment.shape_class
        if shape is not None and not shape.use_common_options:
            name = type(shape).__name__
            said |= dict.fromkeys(("connections", "spawn_rate", "run_time"), ("", name))
        return said

    def _obstacle(self) -> str:
        """Return why no run can be started now; empty if one can."""
        runner = self._web_ui.environment.runner
        if self._views.is_live or getattr(runner, "state", "") in (STATE_RUNNING, STATE_SPAWNING):
            return _RUNNING
        if isinstance(runner, MasterRunner) and not runner.worker_count:
            return "No worker has connected yet: start one, then the run."
        return ""

    def _mistakes(self, texts: Mapping[str, str]) -> dict[str, str]:
        errors = entries.check_locusts_own(texts)
        # What is not a number has its own sentence.
        users = 0 if errors else int(texts["connections"]) + self._next_run.fixed_users
        options = self._options(texts)
        return errors | entries.mistakes(
            options,
            self._parsed(),
            self._next_run,
            host=texts["host"] or self._next_run.host,
            users=users,
        )

    def _options(self, texts: Mapping[str, str]) -> dict[str, str]:
        """Return the texts of options, without those of Locust that the form has itself."""
        own = {name: text for name, text in texts.items() if name not in entries.LOCUSTS_OWN}
        return entries.completed(own, vars(self._parsed()))

    def _start(self, texts: Mapping[str, str]) -> AnyResponse:
        """Start the run as Locust's own form does."""
        parsed, options = self._parsed(), self._options(texts)
        entries.forget_cleared(options, parsed)
        # Locust keeps the last run's limit if there is none.
        parsed.run_time = None
        users = int(texts["connections"]) + self._next_run.fixed_users
        locusts = {name: texts[name] for name in ("host", "spawn_rate", "run_time") if texts[name]}
        request.form = ImmutableMultiDict({**options, **locusts, "user_count": str(users)})
        before = self._views.key
        swarm: Callable[[], Any] = current_app.view_functions["locust.swarm"]
        answer = current_app.make_response(swarm())
        said = answer.get_json(silent=True) or {}
        if not said.get("success"):
            return self._page(texts, {"": str(said.get("message", "The run cannot start."))})
        self._shape = texts["shape"]
        _wait_until(lambda: self._views.is_live or self._views.key != before)
        return redirect(_SHOWN, 303)

    def _page(
        self,
        texts: Mapping[str, str],
        errors: Mapping[str, str],
        *,
        words: str = "",
        status: int = 200,
    ) -> AnyResponse:
        made: RunForm = run_form.form(
            texts,
            errors,
            shapes=run_form.shapes(vars(self._parsed())),
            set_by=self._set_by(),
            others=self._others,
        )
        page = pages.page(
            "new_run.html",
            form=made,
            texts=texts,
            general=errors.get("", ""),
            obstacle=self._obstacle(),
            words=words,
            trouble=self._views.shown().trouble,
            other_classes=self._next_run.other_classes,
            keeps=bool(self._views.history),
        )
        answer = Response(page, mimetype="text/html")
        answer.status_code = status
        return answer


def _wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while not condition() and time.monotonic() < deadline:
        gevent.sleep(0.02)


def _foreign() -> AnyResponse:
    answer = Response(
        "This request comes from a page of another site, so nothing was done.\n",
        mimetype="text/plain",
    )
    answer.status_code = 403
    return answer
