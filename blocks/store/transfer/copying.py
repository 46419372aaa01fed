"""Copies all tables of a store into another database, and continues a copy that was killed."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from blocks.errors import FirstPartyGenericError
from blocks.store.engine import reading, store_errors, writing
from blocks.store.transfer import content, rows, target
from blocks.store.transfer.target import TableProgress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from sqlalchemy import Connection, Engine

    from blocks.store.transfer.rows import Rows
    from blocks.store.transfer.table_layout import TableLayout

COMMIT = 50_000
"""Rows of one transaction: what a killed copy does again."""


def identity(connection: Connection) -> str:
    """What distinguishes a store from all others, for its whole life: its first record of what was done."""
    query = text("SELECT id, time_ns, actor, source_id FROM audit_log ORDER BY id LIMIT 1")
    first = connection.execute(query).first()
    return "empty" if first is None else " ".join(map(str, first))


def copy_tables(
    source: Connection,
    engine: Engine,
    tables: Sequence[TableLayout],
    progress: dict[str, TableProgress],
    advance: Callable[[int], object] = lambda _: None,
) -> None:
    """Copy the rows of all tables, which `source` sees as they are at one moment.

    `advance` is called with numbers of rows. Raises FirstPartyGenericError if a database does not answer.
    """
    for table in tables:
        if table.is_growing:
            _copy_growing(source, engine, table, progress.get(table.name), advance)
    others = [table for table in tables if not table.is_growing]
    with writing(engine) as connection:
        for table in reversed(others):
            connection.exec_driver_sql(f'DELETE FROM "{table.name}"')
        for table in others:
            advance(rows.write(connection, table, rows.read(source, table)))
        content.set_sequences(connection, content.sequences(source, tables))


def require_equal(source: Connection, engine: Engine, tables: Sequence[TableLayout]) -> dict[str, int]:
    """Compare the number of rows of each table. Returns the numbers. Raises FirstPartyGenericError."""
    wanted = content.row_counts(source, tables)
    with store_errors(), reading(engine).connect() as connection:
        there = content.row_counts(connection, tables)
    for name, number in wanted.items():
        if there[name] != number:
            raise FirstPartyGenericError(
                f"The copy of the table {name} has {there[name]:,} rows instead of {number:,}. The target is not used.",
                hint="Empty the target database and start again. The store that is copied is not affected.",
                code="transfer",
            )
    return wanted


def _copy_growing(
    source: Connection,
    engine: Engine,
    table: TableLayout,
    done: TableProgress | None,
    advance: Callable[[int], object],
) -> None:
    if done is not None and not _is_same(source, engine, table, done):
        _clear(engine, table)
        done = None
    copied, last = (done.copied, done.last_key or None) if done else (0, None)
    advance(copied)
    places = [list(table.columns).index(name) for name in table.key]
    batches = rows.read(source, table, last)
    while first := next(batches, None):
        part = _LastRow(chain([first], batches))
        with writing(engine) as connection:
            number = rows.write(connection, table, part.batches(COMMIT))
            copied += number
            target.record(connection, table.name, TableProgress(copied, [part.last[place] for place in places]))
        advance(number)


class _LastRow:
    """Passes batches on until there were enough rows, and remembers the last row."""

    def __init__(self, source: Iterator[Rows]) -> None:
        self._source = source
        self.last: tuple[Any, ...] = ()

    def batches(self, limit: int) -> Iterable[Rows]:
        number = 0
        while number < limit and (batch := next(self._source, None)):
            number += len(batch)
            self.last = batch[-1]
            yield batch


def _is_same(source: Connection, engine: Engine, table: TableLayout, done: TableProgress) -> bool:
    """False if rows were removed or added before that key since the copy was killed, as by a prune."""
    with reading(engine).connect() as connection:
        there = content.row_counts(connection, [table])[table.name]
    return there == done.copied == (rows.count_to(source, table, done.last_key) if done.last_key else 0)


def _clear(engine: Engine, table: TableLayout) -> None:
    with writing(engine) as connection:
        connection.exec_driver_sql(f'DELETE FROM "{table.name}"')
        target.record(connection, table.name, TableProgress(0, []))
