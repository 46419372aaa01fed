"""The store of a backup is put in place complete or not at all; whole backups are in `test_store_backup.py`."""

from __future__ import annotations

import shutil
import sqlite3
import stat
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import text
from support.values import SOURCE

from blocks.backup import store_reader
from blocks.backup.manifest import STORE_FILE, Manifest, PartEntry, StoreContent, TableEntry
from blocks.backup.sealed_archive import ArchiveWriter, open_sealed
from blocks.backup.store_reader import StoreRestore
from blocks.errors import FirstPartyGenericError, ThirdPartyConfigError
from blocks.store import audit_log, schema, sources
from blocks.store.engine import opened_engine
from blocks.store.transfer.table_layout import TableLayout

FIELDS = {"columns": ["created_ns", "name", "enabled"], "rows": 3}
LINES = b"5\tteam\tt\n6\t\\\\N\\tx\tf\n7\t\xc3\xa9\tt\n"
STORED = [("team", True, 5), ("\\N\tx", False, 6), ("é", True, 7)]


@pytest.fixture
def store(migrated_sqlite: Path, tmp_path: Path) -> Path:
    """An SQLite store with one source."""
    path = Path(shutil.copy(migrated_sqlite, tmp_path / "old.db"))
    with opened_engine(f"sqlite:///{path}") as engine:
        sources.save(engine, SOURCE)
    return path


@pytest.fixture
def to(tmp_path: Path) -> Path:
    """Where the store is restored to."""
    (tmp_path / "new").mkdir()
    return tmp_path / "new" / "events.db"


def restore_of(to: Path | str, parts: dict[str, bytes], database: Any = "sqlite", **content: Any) -> StoreRestore:
    """The restore of an archive that was made by hand, into a file or a database."""
    url = f"sqlite:///{to}" if isinstance(to, Path) else to
    path = Path(f"{to}.tar.gz") if isinstance(to, Path) else Path(content.pop("directory")) / "b.tar.gz"
    with path.open("wb") as file:
        writer = ArchiveWriter(file, 0)
        entries = [writer.add(name, data) for name, data in parts.items()]
        kept = StoreContent(**{"tables": {}, "sequences": {}, "streams": [], "checkpoints": [], **content})
        made = Manifest(
            format=1,
            program="0",
            prefect="0",
            created="2026-01-01T00:00:00Z",
            host="h",
            database=database,
            schema=schema.HEAD,
            store=kept,
            parts=[PartEntry(one.name, one.size, one.sha256) for one in entries],
            settings={},
        )
        writer.finish(made.encode())
    return StoreRestore(open_sealed(path), made, url, path.with_name("scratch"))


def of_file(to: Path, store: Path) -> StoreRestore:
    return restore_of(to, {"prefect.json.enc": b"secret", STORE_FILE: store.read_bytes()})


def of_rows(to: Path | str, lines: bytes = LINES, **content: Any) -> StoreRestore:
    """A backup of PostgreSQL, whose rows of the table `fields` are in two parts."""
    half = lines.index(b"\n") + 1
    parts = {"prefect.json.enc": b"secret"}
    parts |= {"store/fields/000001.copy": lines[:half], "store/fields/000002.copy": lines[half:]}
    tables = {"fields": msgspec.convert(FIELDS, TableEntry)}
    return restore_of(to, parts, "postgresql", **{"tables": tables, **content})


def fields(url: str) -> list[tuple[Any, ...]]:
    with opened_engine(url) as engine, engine.connect() as connection:
        rows = connection.execute(text("SELECT name, enabled, created_ns FROM fields WHERE created_ns < 9 ORDER BY 3"))
        return [(name, bool(enabled), created_ns) for name, enabled, created_ns in rows]


def names(to: Path) -> list[str]:
    return sorted(path.name for path in to.parent.iterdir() if path.suffix != ".gz")


# Whether there is something already


def test_a_database_that_is_not_there_is_empty_and_stays_away(to: Path, store: Path) -> None:
    restore = of_file(to, store)
    restore.require_empty()
    assert not restore.is_placed()
    assert names(to) == []


def test_a_store_is_in_place_when_it_is_complete(to: Path, store: Path) -> None:
    restore = of_file(to, store)
    restore.place()
    assert restore.is_placed()
    with pytest.raises(ThirdPartyConfigError, match=r"^The target database is not empty"):
        restore.require_empty()
    with closing(sqlite3.connect(to)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", (schema.INCOMPLETE,))
    assert not restore.is_placed()


def test_an_empty_store_is_not_in_place_and_not_in_the_way(to: Path, store: Path, migrated_sqlite: Path) -> None:
    shutil.copy(migrated_sqlite, to)
    restore = of_file(to, store)
    restore.require_empty()
    assert not restore.is_placed()


# A file


def test_a_file_replaces_an_empty_store_and_its_log_and_what_a_killed_restore_left(
    to: Path, store: Path, migrated_sqlite: Path
) -> None:
    shutil.copy(migrated_sqlite, to)
    for name in ("events.db-wal", "events.db-shm", "events.db.restoring", "events.db.restoring-journal"):
        (to.parent / name).write_bytes(b"left")
    numbers: list[int] = []
    of_file(to, store).place(numbers.append)
    assert names(to) == ["events.db"]
    assert sum(numbers) == store.stat().st_size
    assert stat.S_IMODE(to.stat().st_mode) == 0o600
    with opened_engine(f"sqlite:///{to}") as engine:
        assert sources.ids_by_name(engine) == {"1Pass": SOURCE.id}


def test_a_file_that_is_no_store_is_not_put_in_place(to: Path, store: Path) -> None:
    store.write_bytes(b"nonsense" * 1000)
    with pytest.raises(FirstPartyGenericError) as raised:
        of_file(to, store).place()
    assert (raised.value.code, str(raised.value)) == (
        "backup-damaged",
        f"The restored store {to}.restoring cannot be opened. Use another backup, and please report this.",
    )
    assert names(to) == []


def test_a_disk_that_refuses_is_an_error_and_nothing_is_in_place(to: Path, store: Path) -> None:
    restore = of_file(to, store)
    elsewhere = replace(restore, url=f"sqlite:///{to.parent / 'gone' / 'events.db'}")
    with pytest.raises(FirstPartyGenericError) as raised:
        elsewhere.place()
    assert (raised.value.code, str(raised.value)) == (
        "backup-space",
        (
            "The store could not be restored: No such file or directory. Nothing of it is in place; the backup is as "
            f"it was. Free space in {to.parent / 'gone'}, and run the same command again."
        ),
    )


def test_a_failure_leaves_an_existing_empty_store(to: Path, store: Path, migrated_sqlite: Path) -> None:
    shutil.copy(migrated_sqlite, to)
    before = to.read_bytes()
    store.write_bytes(b"nonsense" * 1000)
    with pytest.raises(FirstPartyGenericError):
        of_file(to, store).place()
    assert (names(to), to.read_bytes()) == (["events.db"], before)


# Rows in the text format of COPY


@pytest.mark.parametrize(("chunk", "fetch"), [(2**20, 2000), (1, 1), (7, 2)])
def test_rows_become_a_file_however_they_come(
    to: Path, monkeypatch: pytest.MonkeyPatch, chunk: int, fetch: int
) -> None:
    monkeypatch.setattr(store_reader, "CHUNK", chunk)
    monkeypatch.setattr(store_reader.rows, "FETCH", fetch)
    numbers: list[int] = []
    restore = of_rows(to, sequences={"events": 41})
    restore.place(numbers.append)
    assert fields(f"sqlite:///{to}") == STORED
    assert (sum(numbers), max(numbers)) == (len(LINES), min(chunk, len(LINES) - LINES.index(b"\n") - 1))
    with opened_engine(f"sqlite:///{to}") as engine, engine.begin() as connection:
        insert = "INSERT INTO events (stream_id, uuid, time_ns, received_ns, body) VALUES (1, 'E', 1, 1, '{}')"
        connection.execute(text(insert))
        assert connection.execute(text("SELECT id FROM events")).scalar() == 42
    assert schema_version(to) == schema.HEAD


@pytest.mark.parametrize(("fetch", "sizes"), [(1, [1, 1, 1]), (2, [2, 1]), (3, [3]), (2000, [3])])
def test_a_few_rows_at_a_time_are_in_memory(monkeypatch: pytest.MonkeyPatch, fetch: int, sizes: list[int]) -> None:
    monkeypatch.setattr(store_reader.rows, "FETCH", fetch)
    layout = TableLayout(
        "t", {"created_ns": "integer", "name": "text", "enabled": "boolean"}, ("name",), numbered=False
    )
    assert [len(batch) for batch in store_reader._batches([LINES[:5], LINES[5:]], layout)] == sizes


def schema_version(path: Path) -> str | None:
    with opened_engine(f"sqlite:///{path}") as engine:
        return schema.version(engine)


@pytest.mark.parametrize("rows", [2, 4])
def test_a_table_with_another_number_of_rows_is_not_restored(to: Path, rows: int) -> None:
    tables = {"fields": TableEntry(list(FIELDS["columns"]), rows)}  # type: ignore[call-overload]
    with pytest.raises(FirstPartyGenericError) as raised:
        of_rows(to, tables=tables).place()
    assert (raised.value.code, str(raised.value)) == (
        "backup-damaged",
        (
            f"The table fields of the backup has 3 rows instead of {rows}. Nothing was restored. Use another backup, "
            "and please report this."
        ),
    )
    assert names(to) == []


# PostgreSQL


ON_POSTGRESQL = pytest.mark.parametrize("empty_url", ["postgresql"], indirect=True)


@ON_POSTGRESQL
def test_rows_go_into_postgresql_as_they_are(empty_url: str, tmp_path: Path) -> None:
    restore = of_rows(empty_url, directory=tmp_path)
    restore.require_empty()
    assert not restore.is_placed()
    restore.place()
    assert fields(empty_url) == STORED
    assert restore.is_placed(), "it was settled, and the audit log says so"


@ON_POSTGRESQL
def test_a_file_is_copied_into_postgresql_and_its_scratch_is_removed(
    empty_url: str, store: Path, tmp_path: Path
) -> None:
    restore = restore_of(empty_url, {STORE_FILE: store.read_bytes()}, directory=tmp_path)
    restore.scratch.write_bytes(b"left by a killed restore")
    numbers: list[int] = []
    restore.place(numbers.append)
    assert restore.is_placed()
    assert not restore.scratch.exists()
    with opened_engine(empty_url) as engine:
        assert sources.ids_by_name(engine) == {"1Pass": SOURCE.id}
    assert sum(numbers) >= 1 + 3 + 1  # its source, its streams, and the record of its creation


@ON_POSTGRESQL
def test_a_file_that_is_no_store_is_not_copied(empty_url: str, tmp_path: Path) -> None:
    restore = restore_of(empty_url, {STORE_FILE: b"nonsense" * 1000}, directory=tmp_path)
    with pytest.raises(FirstPartyGenericError):
        restore.place()
    assert not restore.scratch.exists()


# Afterwards


@pytest.mark.parametrize("paused", [False, True])
def test_a_restored_store_is_settled(to: Path, store: Path, paused: bool) -> None:
    restore = of_file(to, store)
    restore.place()
    restore.settle(paused=paused)
    with opened_engine(f"sqlite:///{to}") as engine:
        (record,) = audit_log.newest(engine, 1)
        with engine.connect() as connection:
            paused_ns = connection.execute(text("SELECT paused_ns FROM sources")).scalar()
    assert (record.action, record.details) == ("restore", {"paused": paused, "backup": "2026-01-01T00:00:00Z"})
    assert (paused_ns is not None) is paused


def test_each_part_is_that_of_the_manifest(to: Path, store: Path) -> None:
    restore = of_file(to, store)
    other = [replace_size(one) for one in restore.manifest.parts]
    changed = replace(restore, manifest=msgspec.structs.replace(restore.manifest, parts=other))
    with pytest.raises(FirstPartyGenericError):
        changed.place()
    assert names(to) == []


def replace_size(part: PartEntry) -> PartEntry:
    return msgspec.structs.replace(part, size=part.size - 1)
