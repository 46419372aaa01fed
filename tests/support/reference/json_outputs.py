"""The names in `--json`, and the JSON Schemas of all outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.reference.markdown import code, table

from deployments.json_records.names import SECTIONS

if TYPE_CHECKING:
    from collections.abc import Iterator


def names() -> str:
    parts = []
    for title, meanings in SECTIONS.items():
        parts.append(f"## {title}")
        parts.append(table(("name", ""), ((code(name), meaning) for name, meaning in meanings.items())))
    return "\n\n".join(parts)


def outputs() -> str:
    return ""


def links(command: str) -> str:
    return command[:0]


def schema_files() -> Iterator[tuple[str, str]]:
    yield from ()
