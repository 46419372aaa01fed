"""What a store holds at one moment: rows of each table, events of each stream, the heads of its hash chains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from blocks.store.integrity import checkpoints

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from blocks.store.integrity.checkpoints import Checkpoint
    from blocks.store.transfer.table_layout import TableLayout

_STREAMS = text(
    "SELECT s.name AS source, s.id AS source_id, t.api, t.events, t.pruned, t.quarantined "
    "FROM streams t JOIN sources s ON s.id = t.source_id ORDER BY t.id"
)
_SOURCES = text("SELECT DISTINCT source_id FROM streams ORDER BY source_id")


@dataclass(frozen=True, slots=True)
class StreamContent:
    """What the store holds of one API of a source."""

    source: str
    source_id: str
    api: str
    events: int
    pruned: int
    quarantined: int


def streams(connection: Connection) -> list[StreamContent]:
    """The streams of all sources, deleted ones too."""
    return [StreamContent(**row) for row in connection.execute(_STREAMS).mappings()]


def chain_heads(connection: Connection) -> list[Checkpoint]:
    """A checkpoint of each source."""
    ids = list(connection.scalars(_SOURCES))
    found = (checkpoints.current_within(connection, source_id) for source_id in ids)
    return [one for one in found if one is not None]


def row_counts(connection: Connection, tables: Sequence[TableLayout]) -> dict[str, int]:
    """The number of rows of each table."""
    return {
        table.name: int(connection.exec_driver_sql(f'SELECT count(*) FROM "{table.name}"').scalar_one())
        for table in tables
    }


def sequences(connection: Connection, tables: Sequence[TableLayout]) -> dict[str, int]:
    """The last id that each numbered table has given, to a removed row too: no id may be given again."""
    is_sqlite = connection.dialect.name == "sqlite"
    given = _given_sqlite(connection) if is_sqlite else _given_postgresql(connection, tables)
    last = {}
    for table in tables:
        if table.numbered:
            stored = connection.exec_driver_sql(f'SELECT max(id) FROM "{table.name}"').scalar()
            last[table.name] = max(stored or 0, given.get(table.name, 0))
    return last


def set_sequences(connection: Connection, last: dict[str, int]) -> None:
    """Let the next id of each table follow the last one that was given."""
    for table, number in last.items():
        if not number:
            continue
        if connection.dialect.name == "sqlite":
            _set_sqlite(connection, table, number)
        else:
            connection.exec_driver_sql(
                f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), %(last)s)", {"last": number}
            )


def _given_sqlite(connection: Connection) -> dict[str, int]:
    rows = connection.exec_driver_sql("SELECT name, seq FROM sqlite_sequence")
    return {str(name): int(number) for name, number in rows}


def _given_postgresql(connection: Connection, tables: Sequence[TableLayout]) -> dict[str, int]:
    given = {}
    for table in tables:
        if table.numbered:
            query = f"SELECT pg_get_serial_sequence('{table.name}', 'id')"
            name: Any = connection.exec_driver_sql(query).scalar()
            if name is not None:  # None: the program gives the ids
                number, called = connection.exec_driver_sql(f"SELECT last_value, is_called FROM {name}").one()
                given[table.name] = int(number) if called else 0
    return given


def _set_sqlite(connection: Connection, table: str, number: int) -> None:
    if not connection.exec_driver_sql(
        "SELECT 1 FROM sqlite_master WHERE name = ? AND sql LIKE '%AUTOINCREMENT%'", (table,)
    ).scalar():
        return  # its ids follow the highest one there is
    if not connection.exec_driver_sql(
        "UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = ?", (number, table)
    ).rowcount:
        connection.exec_driver_sql("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (table, number))
