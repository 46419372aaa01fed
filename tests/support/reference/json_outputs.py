"""The names in `--json`, and the JSON Schemas of all outputs and of the files that `apply` reads."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec
from support.reference.markdown import code, table

from blocks.config.source_json_schema import source_file_schema
from blocks.siem.siem_json_schema import siem_file_schema
from deployments.json_records.names import MEANINGS, SECTIONS
from deployments.json_records.outputs import OUTPUTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deployments.json_records.outputs import JsonOutput

DIALECT = "https://json-schema.org/draft/2020-12/schema"
FILES = {
    "source-file": ("`apply` reads it, and `export` writes it: a file of sources", source_file_schema),
    "siem-file": ("`apply` reads it: a file of SIEMs", siem_file_schema),
}


def names() -> str:
    parts = []
    for title, meanings in SECTIONS.items():
        parts.append(f"## {title}")
        parts.append(table(("name", ""), ((code(name), meaning) for name, meaning in meanings.items())))
    return "\n\n".join(parts)


def outputs() -> str:
    """The table of all schemas."""
    rows = [(f"`{one.command}` {one.when}".strip(), _form(one), _link(one.name)) for one in OUTPUTS]
    return table(
        ("output of", "form", "schema"),
        [*rows, *((about, "object", _link(name)) for name, (about, _) in FILES.items())],
    )


def links(command: str) -> str:
    """A sentence with the schemas of a command's outputs; empty if it has none."""
    found = [one for one in OUTPUTS if one.command == command]
    if command == "export":
        return f"The JSON has the schema {_link('source-file')}."
    files = f"The file has the schema {_link('source-file')} or {_link('siem-file')}. "
    own = files if command == "apply" else ""
    listed = ", ".join(f"{_link(one.name)} {one.when}".strip() for one in found)
    return f"{own}The JSON has the schema {listed}." if found else ""


def schema(output: JsonOutput) -> dict[str, Any]:
    """The schema of an output, with the meaning of each name."""
    made = msgspec.json.schema(output.type)
    for definition in made.get("$defs", {}).values():
        for name, member in definition.get("properties", {}).items():
            described = member.get("description") or MEANINGS[name]
            definition["properties"][name] = {"description": described, **member}
    head = {"$schema": DIALECT, "$id": identifier(output.name), "title": title(output)}
    return {**head, **made}


def identifier(name: str) -> str:
    return f"urn:onepassword-source:schema:{name}"


def title(output: JsonOutput) -> str:
    each = "Each line of t" if output.lines else "T"
    return f"{each}he JSON of `{output.command}` {output.when}".strip()


def schema_files() -> Iterator[tuple[str, str]]:
    """Each schema's path in docs/reference, and its text."""
    for output in OUTPUTS:
        yield f"schemas/{output.name}.json", _text(schema(output))
    for name, (_, make) in FILES.items():
        yield f"schemas/{name}.json", _text({"$schema": DIALECT, "$id": identifier(name), **make()})


def _text(value: dict[str, Any]) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _link(name: str) -> str:
    return f"[`{name}`](schemas/{name}.json)"


def _form(output: JsonOutput) -> str:
    if output.lines:
        return "an object on each line"
    return "array" if str(output.type).startswith("list[") else "object"
