"""The JSON Schema of target profiles, for editors and other tools.

`python -m sseload_users.targets.profile_schema` prints it, see `make schema`.
"""

from __future__ import annotations

import json
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from sseload_users.targets.spec import ProfileSpec

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


class _Generator(GenerateJsonSchema):
    """Generates a schema in which only types have titles, not keys."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Whether a key needs a title: its name says enough."""
        del schema
        return False


def schema() -> dict[str, Any]:
    """Return the JSON Schema of a profile's file (draft 2020-12).

    It accepts every valid profile, and refuses unknown keys, missing tables and wrong types. What
    keys require of one another is only checked when the profile is loaded.
    """
    made = _plain(ProfileSpec.model_json_schema(schema_generator=_Generator))
    definitions = made.pop("$defs")
    for definition in definitions.values():
        del definition["title"]
    return {
        "$schema": _DIALECT,
        "$id": "urn:sseload:profile",
        **made,
        "title": "sseload target profile",
        "$defs": definitions,
    }


def _plain(node: Any) -> Any:
    """Return a part of a generated schema without what a TOML file cannot contain.

    TOML has no null, so what is not required is left out. Each text is one line.
    """
    if isinstance(node, list):
        return [_plain(each) for each in node]
    if not isinstance(node, dict):
        return node
    made: dict[str, Any] = {}
    for key, value in node.items():
        if key == "description":
            made[key] = " ".join(value.split())
        elif key in ("properties", "$defs"):
            made[key] = {name: _plain(each) for name, each in value.items()}
        elif key == "anyOf" and {"type": "null"} in value:
            kinds = [_plain(each) for each in value if each != {"type": "null"}]
            made |= kinds[0] if len(kinds) == 1 else {key: kinds}
        elif key != "default" or (value not in (None, "", [], {}) and not isinstance(value, dict)):
            made[key] = _plain(value)
    return made


if __name__ == "__main__":
    print(json.dumps(schema(), indent=2, ensure_ascii=False))
