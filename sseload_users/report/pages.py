"""Render pages from templates; a page is one file that loads nothing, and runs one script."""

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
from sseload_users.report.charts.texts import text

_TEMPLATES = Path(__file__).parent / "templates"

#: The signs of grades, beside their colours.
SIGNS = {"good": "✓", "warning": "!", "issues": "✗"}


def source(name: str) -> str:
    """Return the text of a file among the templates."""
    return (_TEMPLATES / name).read_text(encoding="utf-8")


def _script() -> str:
    """Return the parts of the script as one, which leaves no names behind."""
    folder = Path(__file__).parent / "static" / "page"
    parts = ("zoom", "downloads", "charts", "tables", "start")
    texts = [(folder / f"{name}.js").read_text(encoding="utf-8") for name in parts]
    return "\n".join(('(() => {\n"use strict";\n', *texts, "})();\n"))


#: The script of pages that consist of one file. They are complete without it.
SCRIPT = _script()
#: The style sheet of pages that consist of one file.
STYLE = charts.STYLE + source("page.css")


def page(template: str, **context: object) -> str:
    """Render a template.

    Control characters are removed from all texts, which are escaped unless they are `Markup`.
    The page's policy allows its own style sheet and script by their hashes, images that the
    script makes, and nothing else: no other script, no request, no form, no inline style.
    """
    return _ENVIRONMENT.get_template(template).render(context)


def _finalized(value: object) -> object:
    return value if isinstance(value, Markup) else text("-" if value is None else value)


def setting(value: object) -> str:
    """Return an option's value in words."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None or value == "":
        return "-"
    if isinstance(value, list | tuple):
        return ", ".join(setting(each) for each in value) or "-"
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


def date_time(text: str | None) -> str:
    """Return the date and time of an RFC 3339 timestamp: "2026-11-24 09:30:00"."""
    return "-" if text is None else f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M:%S}"


def portion(part: int, whole: int) -> str:
    """Return a share, or "-" of nothing."""
    return share(part, whole) if whole else "-"


def clock(text: str | None) -> str:
    """Return the time of day of an RFC 3339 timestamp: "09:30:02.450"."""
    return "-" if text is None else f"{datetime.fromisoformat(text):%H:%M:%S.%f}"[:-3]


def duration(started: str, finished: str) -> float:
    """Return the seconds between two RFC 3339 timestamps."""
    return (datetime.fromisoformat(finished) - datetime.fromisoformat(started)).total_seconds()


def _digest(text: str) -> str:
    """Return the hash by which a Content-Security-Policy allows an inline text (CSP 3, 2.3.1)."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        finalize=_finalized,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    allowed = (
        f"default-src 'none'; style-src '{_digest(STYLE)}'; script-src '{_digest(SCRIPT)}'; "
        # Of its own charts, to make pixels of them.
        "img-src blob:; "
        "base-uri 'none'; form-action"
    )
    environment.globals.update(
        style=Markup(STYLE),  # noqa: S704 - it is this package's own
        script=Markup(SCRIPT),  # noqa: S704 - likewise
        policy=f"{allowed} 'none'",
        policy_with_form=f"{allowed} 'self'",
        signs=SIGNS,
        duration=duration,
    )
    environment.filters.update(
        clock=clock,
        counted=count,
        date_time=date_time,
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
