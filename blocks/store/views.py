"""The views that users query, made from `views.sql` in the SQL dialect of each database."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

FILE = Path(__file__).parent / "views.sql"
_VIEW = re.compile(r"^CREATE VIEW (\w+) AS (.*?);$", re.MULTILINE | re.DOTALL)
_EXPRESSION = re.compile(r"\b(events_of|text|integer|decimal|time|receipt)\(([\w.-]+)\)")


def queries(dialect: str) -> dict[str, str]:
    """The query of each view by its name, for SQLAlchemy's dialect `sqlite` or `postgresql`."""
    expressions = _EXPRESSIONS[dialect]
    return {
        name: _EXPRESSION.sub(lambda found: expressions[found[1]](found[2]), query)
        for name, query in _VIEW.findall(FILE.read_text(encoding="utf-8"))
    }


def replace(connection: Connection) -> None:
    """Re-create the views, within the transaction that migrated the store."""
    for name, query in queries(connection.dialect.name).items():
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql(f"DROP VIEW IF EXISTS {name}")
            connection.exec_driver_sql(f"CREATE VIEW {name} AS {query}")
        else:
            # In place: dropping a view would take away the privileges that users have granted on it.
            connection.exec_driver_sql(f"CREATE OR REPLACE VIEW {name} AS {query}")


_JOINS = (
    "events e JOIN streams s ON s.id = e.stream_id JOIN sources o ON o.id = s.source_id "
    "LEFT JOIN legible_bodies l ON l.stream_id = e.stream_id AND l.uuid = e.uuid"
)
_COLUMNS = "e.id, o.name AS source, o.account_uuid AS source_account, e.uuid, e.time_ns, e.received_ns, e.body"


def _sqlite_events(api: str) -> str:
    return f"(SELECT {_COLUMNS}, coalesce(l.body, e.body) AS j FROM {_JOINS} WHERE s.api = '{api}')"  # noqa: S608


def _sqlite_member(member: str) -> str:
    return f"json_extract(j, '$.{member}')"


def _sqlite_time(column: str) -> str:
    rest = (
        f"(({column} % 1000000000) + 1000000000) % 1000000000"  # SQLite's remainder of a time before 1970 is negative
    )
    second = f"strftime('%Y-%m-%dT%H:%M:%S', ({column} - {rest}) / 1000000000, 'unixepoch')"
    return f"{second} || printf('.%09dZ', {rest})"


def _sqlite_receipt(column: str) -> str:
    return f"strftime('%Y-%m-%dT%H:%M:%fZ', {column} / 1e9, 'unixepoch')"


def _postgresql_events(api: str) -> str:
    # OFFSET 0 keeps the planner from reading the body as JSON once for each column.
    body = "CROSS JOIN LATERAL (SELECT coalesce(l.body, e.body)::json AS j OFFSET 0) b"
    return f"(SELECT {_COLUMNS}, b.j FROM {_JOINS} {body} WHERE s.api = '{api}') event"  # noqa: S608


def _postgresql_text(member: str) -> str:
    return "j #>> '{" + member.replace(".", ",") + "}'"


def _postgresql_integer(member: str) -> str:
    value = _postgresql_text(member)
    return f"CASE WHEN {value} ~ '^-?[0-9]{{1,18}}$' THEN ({value})::bigint END"


def _postgresql_decimal(member: str) -> str:
    value = _postgresql_text(member)
    return f"CASE WHEN {value} ~ '^-?[0-9]{{1,9}}([.][0-9]{{1,30}})?$' THEN ({value})::double precision END"


def _postgresql_time(column: str) -> str:
    return f"to_timestamp(0) + ({column} / 1000) * interval '1 microsecond'"


_EXPRESSIONS: dict[str, dict[str, Callable[[str], str]]] = {
    "sqlite": {
        "events_of": _sqlite_events,
        "text": _sqlite_member,
        "integer": _sqlite_member,
        "decimal": _sqlite_member,
        "time": _sqlite_time,
        "receipt": _sqlite_receipt,
    },
    "postgresql": {
        "events_of": _postgresql_events,
        "text": _postgresql_text,
        "integer": _postgresql_integer,
        "decimal": _postgresql_decimal,
        "time": _postgresql_time,
        "receipt": _postgresql_time,
    },
}
