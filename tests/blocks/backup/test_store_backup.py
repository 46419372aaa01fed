"""The store of a backup is the store of the moment at which it was made, on either database."""

from __future__ import annotations

import hashlib
import threading
from typing import TYPE_CHECKING

import msgspec
import pytest
from sqlalchemy import text
from support import backups
from support.kept_store import fill
from support.values import SOURCE, require_proof

from blocks.backup import manifest as manifests
from blocks.backup import room
from blocks.errors import FirstPartyGenericError, StoreVersionError, ThirdPartyConfigError
from blocks.events_api.models import Api, Event, Page
from blocks.store import audit_log, pages, schema, sources, streams
from blocks.store.engine import open_engine, opened_engine
from blocks.store.transfer import proof

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Engine


def test_every_row_comes_back_on_either_database(full_url: str, target_url: str, tmp_path: Path) -> None:
    made = backups.write(full_url, tmp_path / "b.tar.gz")
    backups.restore(tmp_path / "b.tar.gz", target_url)
    before, after = open_engine(full_url), open_engine(target_url)
    assert backups.rows(after) == backups.rows(before)
    empty = {name for name, entry in made.store.tables.items() if not entry.rows}
    assert empty <= {"names", "state_spans", "insight_days", "index_state", "user_names"}
    assert all(one.sound for one in proof.prove(after, made.store.checkpoints))
    assert require_proof(after) == require_proof(before) > 0
    with after.connect() as connection:
        held = connection.execute(text("SELECT count(*) FROM streams WHERE holder IS NOT NULL")).scalar()
    assert held == 0
    for engine in (before, after):
        engine.dispose()


def test_an_id_is_never_given_again(full_url: str, target_url: str, tmp_path: Path) -> None:
    """Not even that of an event that was the newest, and was removed before the backup."""
    before = open_engine(full_url)
    with before.begin() as connection:
        connection.execute(
            text("INSERT INTO events (stream_id, uuid, time_ns, received_ns, body) VALUES (1,'X',1,1,'{}')")
        )
        last = connection.execute(text("SELECT max(id) FROM events")).scalar_one()
        connection.execute(text("DELETE FROM events WHERE uuid = 'X'"))
    before.dispose()
    backups.write(full_url, tmp_path / "b.tar.gz")
    backups.restore(tmp_path / "b.tar.gz", target_url)
    after = open_engine(target_url)
    with after.begin() as connection:
        connection.execute(
            text("INSERT INTO events (stream_id, uuid, time_ns, received_ns, body) VALUES (1,'Y',1,1,'{}')")
        )
        assert connection.execute(text("SELECT id FROM events WHERE uuid = 'Y'")).scalar_one() > last
    after.dispose()


def test_bodies_come_back_byte_for_byte(store_url: str, target_url: str, tmp_path: Path) -> None:
    """With everything that a text format has to escape."""
    odd = ['{"a": "\\t\\\\N\\u0000"}', "\t", "\\N", "\\", "\\\\t", "a\nb\rc", "\x08\x0b\x0c", "é\U0001f600", " ", ""]
    engine = open_engine(store_url)
    add_page(engine, [Event(f"U{n}", n, body) for n, body in enumerate(odd)])
    engine.dispose()
    backups.write(store_url, tmp_path / "b.tar.gz")
    backups.restore(tmp_path / "b.tar.gz", target_url)
    after = open_engine(target_url)
    with after.connect() as connection:
        assert list(connection.scalars(text("SELECT body FROM events ORDER BY id"))) == odd
    assert require_proof(after) == 1
    after.dispose()


def add_page(engine: Engine, events: list[Event], cursor: str | None = None) -> None:
    sources.save(engine, SOURCE)
    view = streams.of_source(engine, SOURCE.id, (Api.AUDIT,))[0]
    claim = streams.acquire(engine, view, "run-1", by_force=True)
    assert claim
    page = Page(cursor or "next", has_more=False, events=events, invalid_items=[])
    pages.commit_page(engine, claim, page, after=view.cursor, api_version="v2")


def test_a_backup_during_collection_is_one_moment_and_stops_no_writer(store_url: str, tmp_path: Path) -> None:
    """Events and cursor are of the same commit, and pages are committed while the copy is made."""
    engine, writer = open_engine(store_url), open_engine(store_url)
    add_page(engine, [Event(f"P{n}", n, "{}" * 2000) for n in range(3000)], "0")
    stop, committed = threading.Event(), []

    def collect() -> None:
        number = 1
        while not stop.is_set():
            add_page(writer, [Event(f"{number}.{n}", n, "{}") for n in range(10)], str(number))
            committed.append(number)
            number += 1

    thread = threading.Thread(target=collect)
    thread.start()
    during: list[int] = []
    try:
        for name in ("a", "b", "c"):
            before = len(committed)
            made = backups.write(store_url, tmp_path / name)
            during.append(len(committed) - before)
            restored = open_engine(f"sqlite:///{tmp_path / name}.db")
            backups.restore(tmp_path / name, f"sqlite:///{tmp_path / name}.db")
            with restored.connect() as connection:
                cursor = connection.scalar(text("SELECT cursor FROM streams WHERE api = 'audit'"))
                events = connection.scalar(text("SELECT count(*) FROM events"))
            assert events == 3000 + 10 * int(cursor)
            assert events == made.store.tables["events"].rows
            assert all(one.sound for one in proof.prove(restored, made.store.checkpoints))
            restored.dispose()
    finally:
        stop.set()
        thread.join()
    assert sum(during) > 0, "no page was committed while a backup was made"
    for one in (engine, writer):
        one.dispose()


def test_a_store_of_an_earlier_version_is_restored_and_upgraded(empty_url: str, tmp_path: Path) -> None:
    """As a backup that an earlier version of this program made."""
    path = tmp_path / "old.db"
    fill(f"sqlite:///{path}", tmp_path / "unpacked.db", upgrade=False)
    made = old_backup(path, tmp_path / "b.tar.gz")
    backups.restore(tmp_path / "b.tar.gz", empty_url)
    engine = open_engine(empty_url)
    assert schema.version(engine) == schema.HEAD
    assert require_proof(engine) == 32
    assert made.schema == "0011"
    assert audit_log.newest(engine, 1)[0].action == "restore"
    engine.dispose()


def old_backup(path: Path, backup: Path) -> manifests.Manifest:
    from blocks.backup.sealed_archive import ArchiveWriter
    from blocks.store.transfer import content, snapshot
    from blocks.store.transfer.table_layout import tables_of

    with backup.open("wb") as file, snapshot.opened_copy(path) as connection:
        counts = content.row_counts(connection, tables_of("0011"))
        store = manifests.StoreContent(
            {name: manifests.TableEntry([], rows) for name, rows in counts.items()}, {}, [], []
        )
        archive = ArchiveWriter(file, 0)
        part = archive.add_file(manifests.STORE_FILE, path)
        made = manifests.Manifest(
            1, "0", "0", "2026-01-01T00:00:00Z", "h", "sqlite", "0011", store,
            [manifests.PartEntry(part.name, part.size, part.sha256)], {},
        )  # fmt: skip
        archive.finish(made.encode())
    return made


@pytest.mark.parametrize(("change", "said"), [({"format": 2}, "format 2"), ({"schema": "9999"}, "schema 9999")])
def test_a_backup_of_a_newer_program_is_refused_in_words(change: dict[str, object], said: str) -> None:
    content = {"format": 1, "program": "9.9", "schema": "0001", "unknown": []} | change
    with pytest.raises(StoreVersionError, match=said) as refused:
        manifests.parse(msgspec.json.encode(content))
    assert "9.9" in str(refused.value)
    assert "Nothing was restored" in str(refused.value)


def test_an_interrupted_restore_knows_whether_the_store_is_in_place(
    full_url: str, target_url: str, tmp_path: Path
) -> None:
    backups.write(full_url, tmp_path / "b.tar.gz")
    wanted = backups.restore_of(tmp_path / "b.tar.gz", target_url)
    assert not wanted.is_placed()
    wanted.place()
    assert wanted.is_placed()
    with opened_engine(target_url) as engine, engine.begin() as connection:
        connection.execute(text(f"UPDATE alembic_version SET version_num = '{schema.INCOMPLETE}'"))
    assert not wanted.is_placed()


def test_a_database_with_a_store_is_refused(full_url: str, tmp_path: Path) -> None:
    backups.write(full_url, tmp_path / "b.tar.gz")
    with pytest.raises(ThirdPartyConfigError, match="not empty"):
        backups.restore_of(tmp_path / "b.tar.gz", full_url).require_empty()


def test_a_database_with_empty_tables_is_no_store(full_url: str, target_url: str, tmp_path: Path) -> None:
    """`up` or `status` may have run there before."""
    engine = open_engine(target_url)
    schema.upgrade(engine)
    engine.dispose()
    backups.write(full_url, tmp_path / "b.tar.gz")
    backups.restore(tmp_path / "b.tar.gz", target_url)
    engine = open_engine(target_url)
    assert require_proof(engine) > 0
    engine.dispose()


def test_paused_stops_every_schedule(full_url: str, target_url: str, tmp_path: Path) -> None:
    backups.write(full_url, tmp_path / "b.tar.gz")
    backups.restore(tmp_path / "b.tar.gz", target_url, paused=True)
    engine = open_engine(target_url)
    with engine.connect() as connection:
        running = "SELECT count(*) FROM sources WHERE paused_ns IS NULL AND deleted_ns IS NULL"
        assert connection.scalar(text(running)) == 0
        assert connection.scalar(text("SELECT count(*) FROM pairs WHERE paused_ns IS NULL")) == 0
    engine.dispose()


def test_too_little_space_is_found_before_the_copy(
    full_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not full_url.startswith("sqlite"):
        pytest.skip("the rows of PostgreSQL are packed without a copy")
    monkeypatch.setattr(room.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 10})())
    with pytest.raises(FirstPartyGenericError, match="too little space"):
        backups.write(full_url, tmp_path / "b.tar.gz")
    assert not (tmp_path / "b.store").exists()


def test_the_manifest_says_what_is_in_it(full_url: str, tmp_path: Path) -> None:
    made = backups.write(full_url, tmp_path / "b.tar.gz")
    engine = open_engine(full_url)
    with engine.connect() as connection:
        events = connection.scalar(text("SELECT count(*) FROM events"))
        streams_there = connection.scalar(text("SELECT count(*) FROM streams"))
    engine.dispose()
    assert made.store.tables["events"].rows == events
    assert len(made.store.streams) == streams_there
    archive = backups.restore_of(tmp_path / "b.tar.gz", "sqlite:///x").archive
    entries = {one.name: one for one in made.parts}
    for part, file in archive.read(entries):  # type: ignore[arg-type]
        assert hashlib.sha256(file.read(part.size)).hexdigest() == entries[part.name].sha256
