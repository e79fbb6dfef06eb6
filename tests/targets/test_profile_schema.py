from __future__ import annotations

import copy
import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from docs.generators.profile_keys import page
from sseload_users import targets
from sseload_users.core.config_path import config_path
from sseload_users.targets.profile_schema import schema
from sseload_users.targets.spec import ProfileSpec

SCHEMA = json.loads(config_path("targets/profile.schema.json").read_text(encoding="utf-8"))
DOCS = Path(__file__).parents[2] / "docs"
PROFILES = {
    name: tomllib.loads(config_path(f"targets/{name}.toml").read_text(encoding="utf-8"))
    for name in targets.names()
}
validator = jsonschema.Draft202012Validator(SCHEMA)


def accepted(profile: Any) -> bool:
    try:
        ProfileSpec.model_validate(profile)
    except ValidationError:
        return False
    return True


def test_the_shipped_schema_matches_the_types() -> None:
    assert schema() == SCHEMA, "run make schema"


def tables() -> Iterator[tuple[str, Any]]:
    yield "", SCHEMA
    yield from SCHEMA["$defs"].items()


def test_the_schema_is_closed_and_describes_every_key() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    keys = 0
    for owner, table in tables():
        assert table["additionalProperties"] is False, owner
        assert table["description"].endswith("."), owner
        for name, key in table["properties"].items():
            assert key["description"].endswith("."), f"{owner}.{name}"
            # TOML has no null, and a key without a type is neither completed nor checked.
            assert "null" not in json.dumps(key), f"{owner}.{name}"
            assert {"type", "$ref", "oneOf"} & key.keys(), f"{owner}.{name}"
            keys += 1
    assert keys > 100


def test_the_reference_has_every_key() -> None:
    text = page()
    for owner, table in tables():
        for name in table["properties"]:
            assert f"\n| `{name}` | " in text, f"{owner}.{name}"


@pytest.mark.parametrize("name", targets.names())
def test_built_in_profiles_are_valid_and_name_the_schema(name: str) -> None:
    validator.validate(PROFILES[name])
    path = config_path(f"targets/{name}.toml")
    directive = path.read_text(encoding="utf-8").splitlines()[0]
    assert directive.startswith("#:schema ./")
    assert (path.parent / directive.removeprefix("#:schema ")).is_file()


def test_complete_profiles_in_the_documentation_are_valid() -> None:
    pages = [page.read_text(encoding="utf-8") for page in DOCS.glob("*.md")]
    blocks = [each.split("```")[0] for page in pages for each in page.split("```toml\n")[1:]]
    profiles = [each for each in blocks if "transport = " in each and "[code]" in each]
    assert len(profiles) >= 3
    for each in profiles:
        validator.validate(tomllib.loads(each))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("colour",), 1),
        (("transport",), "mqtt"),
        (("connect", "port"), 1),
        (("connect", "path"), "ws"),
        (("connect", "path"), "/a b"),
        (("connect", "headers"), {"X Token": "a"}),
        (("connect", "max_message"), "1 MB"),
        (("connect", "transports"), ["quic"]),
        (("code", "field"), "a..b"),
        (("code", "whole"), True),
        (("values",), {"username": "a"}),
        (("values",), {"a-b": "c"}),
        (("before",), [{"path": "/", "capture": {"a": {"path": "b"}}}]),
        (("before",), [{"path": "/", "expect": {"status": [99]}}]),
        (("confirm",), {"fields": {"a": []}}),
        (("confirm",), [{}]),
        (("upkeep",), [{"every": 0, "ping": True}]),
        (("upkeep",), [{"every": 5}]),
        (("audience",), {"channel": "a", "channels": ["b"]}),
        (("audience",), {"channel": "a", "join": {}}),
        (("audience",), {"channel": "a", "joined": {"text": "ok"}, "join": {"send": 5}}),
        (("advice",), [{"step": "ingest", "hint": "Wait."}]),
        (("ingest", "over"), "mail"),
        (("ingest", "bdy"), "{code}"),
        (("ingest",), {"over": "listener", "send": 5}),
        (("ingest",), {"over": "connection", "send": "{code}", "expect": "yes"}),
        (("ingest", "sign"), {"scheme": "hmac", "secret": "a"}),
    ],
)
def test_the_schema_refuses_what_is_refused(place: tuple[str, ...], value: Any) -> None:
    profile = copy.deepcopy(PROFILES["websocket"])
    table = profile
    for key in place[:-1]:
        table = table[key]
    table[place[-1]] = value
    assert not accepted(profile)
    assert not validator.is_valid(profile)


@pytest.mark.parametrize("missing", ["transport", "connect", "code", "ingest"])
def test_the_schema_refuses_a_profile_without_a_required_key(missing: str) -> None:
    profile = {key: each for key, each in PROFILES["websocket"].items() if key != missing}
    assert not validator.is_valid(profile)


def nodes(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield each container in a profile with each of its keys."""
    keys = value if isinstance(value, dict) else range(len(value))
    for key in list(keys):
        yield value, key
        if isinstance(value[key], dict | list):
            yield from nodes(value[key])


VALUES: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from(["", "/", "a.b", "[*].x", "{url}", "ack", "none", "GET", "{code}", "(a)"]),
    st.booleans(),
    st.integers(-1, 700),
    st.sampled_from([{}, [], {"a": "b"}, ["a"], [{"a": 1}], {"field": "a"}, {"any": True}]),
).map(copy.deepcopy)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_the_schema_accepts_what_is_accepted(data: st.DataObject) -> None:
    profile = copy.deepcopy(PROFILES[data.draw(st.sampled_from(sorted(PROFILES)))])
    for _ in range(data.draw(st.integers(1, 3))):
        container, key = data.draw(st.sampled_from([*nodes(profile)]))
        kind = data.draw(st.sampled_from(["replace", "remove", "move"]))
        if kind == "replace":
            container[key] = data.draw(VALUES)
        elif kind == "remove":
            del container[key]
        elif isinstance(container, dict):
            # Another table's key is more often valid than an invented one.
            other = data.draw(st.sampled_from(sorted(SCHEMA["$defs"])))
            name = data.draw(st.sampled_from(sorted(SCHEMA["$defs"][other]["properties"])))
            container[name] = data.draw(VALUES)
        if not [*nodes(profile)]:
            return
    if accepted(profile):
        validator.validate(profile)
