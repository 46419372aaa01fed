"""The tables of the store, from their models, and the views, from `views.sql`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from sqlalchemy import BigInteger, Boolean, Integer, LargeBinary
from sqlmodel import SQLModel
from support.reference.markdown import code, sentence, table

from blocks.store import tables, views
from blocks.store.column_meanings import COLUMN_MEANINGS

if TYPE_CHECKING:
    from sqlalchemy import Column

REFERENCE_TO_CODE = re.compile(r" ?\(see `[^)]*`\)|; see `[^`]*`|,? ?[Ss]ee `[^`]*`[^;]*")
VIEW_APIS = {"sign_in_attempts": "sign-in attempts", "item_usages": "item usages", "audit_events": "audit events"}
VIEW_MEANINGS = {
    "id": "the store's own number of the event",
    "source": "the name of the source",
    "uuid": "the id that 1Password gives it",
    "time": "when it happened, in UTC",
    "received": "when it was received, in UTC",
    "account_uuid": "the account: of the event, or else of the source",
    "body": "the event exactly as the server sent it",
}


def models() -> list[type[SQLModel]]:
    """The models of all tables, in the order of their file."""
    return [
        found
        for found in vars(tables).values()
        if isinstance(found, type) and issubclass(found, SQLModel) and hasattr(found, "__table__")
    ]


def overview() -> str:
    rows = [(f"[`{_name(model)}`](#{_name(model)})", _about(model)) for model in models()]
    return table(("table", "one row is"), rows)


def table_sections() -> str:
    parts = []
    for model in models():
        parts += [f"### `{_name(model)}`", _about(model)]
        rows = [
            (code(column.name), _type(column), meaning(model, column.name)) for column in tables.table_of(model).columns
        ]
        parts.append(table(("column", "type", "meaning"), rows))
    return "\n\n".join(parts)


def view_sections() -> str:
    parts = []
    for name, query in views.queries("postgresql").items():
        parts.append(f"### `{name}`\n\nOne row for each of the {VIEW_APIS[name]}.")
        rows = [
            (code(column), kind, VIEW_MEANINGS.get(column, f"the member `{member}`"))
            for column, kind, member in _columns(name)
        ]
        assert query
        parts.append(table(("column", "type", "meaning"), rows))
    return "\n\n".join(parts)


def view_columns() -> dict[str, list[str]]:
    return {name: [column for column, _, _ in _columns(name)] for name in views.queries("sqlite")}


def meaning(model: type[SQLModel], column: str) -> str:
    """The meaning of a column, as a sentence. Raises KeyError if neither its model nor COLUMN_MEANINGS has one."""
    described: Any = model.model_fields[column].description
    return sentence(REFERENCE_TO_CODE.sub("", described).strip() if described else "") or sentence(
        COLUMN_MEANINGS[column]
    )


def _name(model: type[SQLModel]) -> str:
    return str(model.__tablename__)


def _about(model: type[SQLModel]) -> str:
    return REFERENCE_TO_CODE.sub("", " ".join((model.__doc__ or "").split()))


def _type(column: Column[Any]) -> str:
    kinds = ((BigInteger, "integer, 64 bits"), (Boolean, "boolean"), (Integer, "integer"), (LargeBinary, "bytes"))
    named = next((name for kind, name in kinds if isinstance(column.type, kind)), "text")
    return f"{named}, null" if column.nullable else named


def _columns(view: str) -> list[tuple[str, str, str]]:
    """Name, type on PostgreSQL, and member of each column of a view, as views.sql has them."""
    text = views.FILE.read_text(encoding="utf-8")
    query = re.search(rf"^CREATE VIEW {view} AS SELECT\n(.*?)\nFROM", text, re.MULTILINE | re.DOTALL)
    assert query
    return [_column(line.strip().rstrip(",")) for line in query[1].splitlines()]


def _column(line: str) -> tuple[str, str, str]:
    expression, _, name = line.partition(" AS ")
    name = name or expression
    kinds = {"integer": "integer", "decimal": "number", "time": "time", "receipt": "time"}
    kind = re.match(r"(\w+)\(([\w.]+)", expression)
    if kind is None:
        return name, "integer" if name == "id" else "text", ""
    return name, kinds.get(kind[1], "text"), kind[2]
