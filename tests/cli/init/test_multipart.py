"""Multipart forms of a recording become the fields of a form."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sseload_users.cli.init import har, multipart
from sseload_users.cli.init.curl import CopiedRequest
from sseload_users.cli.init.placements import placements, recorded_placements
from sseload_users.core.errors import ConfigError
from sseload_users.targets.multipart import form_data

KIND = 'Multipart/Form-Data; charset=utf-8; boundary="X Y"'
HEADERS = (("Content-Type", "multipart/form-data"),)


def recorded(folder: Path, posted: dict[str, Any]) -> CopiedRequest:
    """Return the request of a recording with such a form."""
    request = {
        "method": "POST", "url": "http://h/say",
        "headers": [{"name": "content-type", "value": KIND}], "postData": posted,
    }  # fmt: skip
    entry = {"startedDateTime": "2026-01-01T00:00:00Z", "request": request, "response": {}}
    (folder / "page.har").write_text(json.dumps({"log": {"entries": [entry]}}), "utf-8")
    (exchange,) = har.read(folder / "page.har")
    return exchange.request


@given(st.lists(st.tuples(st.text(min_size=1, max_size=9), st.text(max_size=20)), min_size=1))
def test_what_sseload_writes_is_read_again(fields: list[tuple[str, str]]) -> None:
    fields = [(name.encode(errors="replace").decode(), value) for name, value in fields]
    text = form_data(fields, KIND).decode()
    form = multipart.read(KIND, text)
    assert form is not None
    assert not form.has_file
    assert parse_qsl(form.body, keep_blank_values=True) == [
        (name, value.encode(errors="replace").decode()) for name, value in fields
    ]


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("text/plain; boundary=X", "--X--"),
        ("multipart/form-data", "--X--"),
        (KIND, ""),
        (KIND, "--X Y\r\n\r\na\r\n--X Y--"),
        (KIND, '--X Y\r\nContent-Disposition: form-data; name="a"\r\n\r\nx'),
    ],
    ids=["another type", "no boundary", "nothing", "no name", "no end"],
)
def test_what_is_no_form_is_none(kind: str, text: str) -> None:
    assert multipart.read(kind, text) is None


@pytest.mark.parametrize(
    "posted",
    [
        {"text": form_data([("room", "a b"), ("text", "hello")], KIND).decode()},
        {"params": [{"name": "room", "value": "a b"}, {"name": "text", "value": "hello"}]},
    ],
    ids=["text", "parameters"],
)
def test_a_code_goes_into_a_field(tmp_path: Path, posted: dict[str, Any]) -> None:
    request = recorded(tmp_path, posted)
    assert request == CopiedRequest("POST", "http://h/say", HEADERS, "room=a+b&text=hello")
    first, second = placements(request)
    assert (first.place, first.request.body) == ("text", "room=a+b&text={code}")
    assert (second.place, second.replaced) == ("room", "a b")


@pytest.mark.parametrize(
    "posted",
    [
        {},
        {"params": [{"name": "text", "value": "hello"}, {"name": "f", "fileName": "x.png"}]},
        {
            "text": form_data([("text", "hello"), ("f", "x")], KIND)
            .decode()
            .replace('name="f"', 'name="f"; filename="x.png"')
        },
    ],
    ids=["left out, as Chromium does", "parameters", "text"],
)
def test_a_form_with_a_file_is_refused_unless_another_request_will_do(
    tmp_path: Path, posted: dict[str, Any]
) -> None:
    request = recorded(tmp_path, posted)
    other = CopiedRequest("POST", "http://h/other", HEADERS, "text=hello")
    assert [each.request.url for each in recorded_placements([request, other])] == [other.url]
    with pytest.raises(ConfigError, match=r"^The form of POST /say has a file, which a profile"):
        recorded_placements([request])


def test_a_recorded_request_without_a_place_for_a_code_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^POST /ping in the recording has neither"):
        recorded_placements([CopiedRequest("POST", "http://h/ping", ())])
    assert recorded_placements([]) == []
