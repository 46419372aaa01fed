"""Moves a store to another database: all rows, with their ids, proved by the hash chains.

The store that is moved stays as it is. While it is copied, it is locked against every writer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from blocks import clock
from blocks.errors import FirstPartyGenericError
from blocks.store import claims, schema
from blocks.store.engine import consequence, is_sqlite, reading, store_errors, writing
from blocks.store.tables import PositionRow, StreamRow, WindowRow, table_of
from blocks.store.transfer import content, copying, proof, settling, target
from blocks.store.transfer.table_layout import tables_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection, Engine
    from sqlmodel import SQLModel

    from blocks.store.transfer.proof import SourceProof

_CLAIMED: dict[type[SQLModel], str] = {StreamRow: "collects", WindowRow: "reads a backfill", PositionRow: "forwards"}

UNCHANGED = "The copy is not complete, so no command uses it. The store is unchanged, and still yours to use."


@dataclass(frozen=True, slots=True)
class Move:
    """The result: rows by table, how many of them an earlier call had copied, and the proof of each source."""

    rows: dict[str, int]
    continued: int
    proofs: list[SourceProof]

    @property
    def sound(self) -> bool:
        return all(one.sound for one in self.proofs)


def count_rows(engine: Engine) -> int:
    """The number of rows to copy and to verify, for a progress bar."""
    with store_errors(), reading(engine).connect() as connection:
        counts = content.row_counts(connection, tables_of(schema.HEAD))
    return sum(counts.values()) + counts["events"] + counts["pruned_events"]


def move(
    engine: Engine, to: Engine, advance: Callable[[int], object] = lambda _: None, *, accept_damage: bool = False
) -> Move:
    """Copy the store into an empty database, or continue to. The target is a store only after everything was proved.

    With `accept_damage`, also if the hash chains do not match, because the store itself is damaged. `advance` is called
    with numbers of rows. Raises FirstPartyGenericError if runs work in the store, or a database does not answer;
    ThirdPartyConfigError if the target is not empty.
    """
    tables = tables_of(schema.HEAD)
    with consequence(UNCHANGED, _continue_hint(to)), writing(engine) as source:
        _lock(source)
        _require_no_claims(source)
        progress = target.begin(to, schema.HEAD, copying.identity(source))
        copying.copy_tables(source, to, tables, progress, advance)
        rows = copying.require_equal(source, to, tables)
        proofs = proof.prove(to, content.chain_heads(source), advance)
        result = Move(rows, sum(one.copied for one in progress.values()), proofs)
        if result.sound or accept_damage:
            with writing(to) as connection:
                settling.settle(connection, "move", events=rows["events"], target=to.dialect.name)
                target.finish(connection, schema.HEAD)
    return result


def _continue_hint(to: Engine) -> str:
    copy = f" Or remove {to.url.database}." if is_sqlite(to) else ""
    return f"See whether there is space for the copy, and run the same command again: it continues.{copy}"


def _lock(connection: Connection) -> None:
    """Let no other transaction write. On SQLite, this transaction is the only writer already."""
    if is_sqlite(connection.engine):
        return
    names = ", ".join(f'"{table.name}"' for table in tables_of(schema.HEAD))
    connection.exec_driver_sql(f"LOCK TABLE {names} IN EXCLUSIVE MODE")


def _require_no_claims(connection: Connection) -> None:
    for model, does in _CLAIMED.items():
        table = table_of(model)
        held = table.c.holder.is_not(None) & claims.is_held(connection, table, clock.now_ns())
        if connection.execute(table.select().where(held).limit(1)).first() is not None:
            raise FirstPartyGenericError(
                f"A run {does} at this moment, so the store cannot be moved. Nothing was changed.",
                hint="Stop `up` with Ctrl-C, and the workers of other machines, and run `move` again. A run that was "
                "killed on another machine blocks it for four minutes.",
                code="transfer-claims",
            )
