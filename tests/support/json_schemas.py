"""The JSON Schemas of docs/reference/schemas, made strict: a member that a schema does not list is an error."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any

from jsonschema import Draft202012Validator
from support.paths import ROOT

from deployments.json_records.outputs import OUTPUTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deployments.json_records.outputs import JsonOutput

SCHEMAS = ROOT / "docs" / "reference" / "schemas"
validated: set[str] = set()
"""The outputs that tests of this process compared with their schemas."""


def read_schema(name: str) -> Any:
    """The committed schema of an output or of a file."""
    return json.loads((SCHEMAS / f"{name}.json").read_text())


@cache
def validator(name: str) -> Draft202012Validator:
    """A validator of the schema without additional properties."""
    return Draft202012Validator(_closed(read_schema(name)))


def problems(name: str, value: Any) -> list[str]:
    """The violations of the schema in a value."""
    return [f"{error.json_path}: {error.message[:300]}" for error in validator(name).iter_errors(value)]


def require_schema(name: str, value: Any) -> None:
    assert problems(name, value) == []
    validated.add(name)


def require_output(arguments: Sequence[str], value: Any) -> None:
    """Assert that the output of a command matches its schema."""
    require_schema(output_of(arguments, value).name, value)


def output_of(arguments: Sequence[str], value: Any) -> JsonOutput:
    """The entry of `outputs.py` for a command with these arguments and this output."""
    words = [one for one in arguments if not one.startswith("-")]
    named = [one for one in OUTPUTS if one.command.split() == words[: len(one.command.split())]]
    assert named, f"{' '.join(arguments)} has no schema"
    if words[0] == "apply":
        return named[bool(value) and "siem" in value[0]]
    special = [one for one in named if one.when.startswith("with `--") and one.when[6:-1] in arguments]
    return special[0] if special else named[0]


def _closed(schema: Any) -> Any:
    """The schema with `additionalProperties: false` in each object that lists its members."""
    if isinstance(schema, list):
        return [_closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {name: _closed(one) for name, one in schema.items()}
    if schema.get("type") == "object" and "properties" in schema:
        closed.setdefault("additionalProperties", False)
    return closed
