"""Pages of a single file: a template with its style inside, which may load and run nothing."""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import datetime
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from sseload_users.core.formatting import count, ms, number, of, seconds, share
from sseload_users.report import charts
from sseload_users.report.charts.drawing import text

_TEMPLATES = Path(__file__).parent / "templates"

#: What a grade looks like where its colour is not seen.
SIGNS = {"good": "✓", "warning": "!", "issues": "✗"}


def source(name: str) -> str:
    """A file among the templates, as it is."""
    return (_TEMPLATES / name).read_text(encoding="utf-8")


#: The style sheet of a page that is one file.
STYLE = charts.STYLE + source("page.css")


def page(template: str, **context: object) -> str:
    """A template of this package as a whole page.

    Every text that is put in is cleaned of what cannot be seen and escaped, unless it is
    `Markup`. The page's policy allows its own style sheet by its hash, and nothing else:
    no script, no request, no form, no style of an element's own.
    """
    return _ENVIRONMENT.get_template(template).render(context)


def _shown(value: object) -> object:
    return value if isinstance(value, Markup) else text("-" if value is None else value)


def setting(value: object) -> str:
    """An option's value as people write it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None or value == "":
        return "-"
    if isinstance(value, list | tuple):
        return ", ".join(setting(each) for each in value) or "-"
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


def moment(text: str | None) -> str:
    """An RFC 3339 moment of the report: "2026-11-24 09:30:00"."""
    return "-" if text is None else f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M:%S}"


def portion(part: int, whole: int) -> str:
    """A share where there is one to take."""
    return share(part, whole) if whole else "-"


def clock(text: str | None) -> str:
    """Its time of day alone: "09:30:02.450"."""
    return "-" if text is None else f"{datetime.fromisoformat(text):%H:%M:%S.%f}"[:-3]


def duration(started: str, finished: str) -> float:
    """Seconds from one moment to another."""
    return (datetime.fromisoformat(finished) - datetime.fromisoformat(started)).total_seconds()


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        finalize=_shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    environment.globals.update(
        style=Markup(STYLE),  # noqa: S704, as it is of this package
        policy=f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; "
        "form-action 'none'",
        signs=SIGNS,
        duration=duration,
    )
    environment.filters.update(
        clock=clock,
        counted=count,
        moment=moment,
        ms=ms,
        number=number,
        of=of,
        seconds=seconds,
        setting=setting,
        portion=portion,
        share=share,
    )
    return environment


_ENVIRONMENT = _environment()
