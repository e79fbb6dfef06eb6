"""The JSON Schema of target profiles, for editors and other tools.

`python -m sseload_users.targets.profile_schema` prints it, see `make schema`.
"""

from __future__ import annotations

import ast
import inspect
import json
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from sseload_users.targets.schema import Table
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
    made = ProfileSpec.model_json_schema(schema_generator=_Generator)
    tables = {each.__name__: each for each in _tables(Table)}
    for name, definition in (("ProfileSpec", made), *made["$defs"].items()):
        if name in tables:
            _describe(definition, tables[name])
    made = _plain(made)
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


def _tables(base: type[Table]) -> Iterator[type[Table]]:
    yield base
    for each in base.__subclasses__():
        yield from _tables(each)


def _describe(definition: dict[str, Any], table: type[Table]) -> None:
    """Add the descriptions of keys: the docstrings below them.

    pydantic would read them whenever the classes are imported, which costs each process time.
    """
    for base in reversed(table.__mro__):
        if base is Table or not issubclass(base, Table):
            continue
        body = ast.parse(inspect.getsource(base)).body[0].body  # type: ignore[attr-defined]
        for key, text in pairwise(body):
            match key, text:
                case ast.AnnAssign(target=ast.Name(name)), ast.Expr(ast.Constant(str(words))):
                    # A key's alias is its name in the file.
                    field = base.model_fields.get(name)
                    place = name if field is None or field.alias is None else field.alias
                    if place in definition.get("properties", {}):
                        definition["properties"][place]["description"] = inspect.cleandoc(words)


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
