"""The checks of the store and the disk."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from blocks.store import schema
from deployments.checks import storage


def test_a_good_store_and_disk(url: str) -> None:
    store, disk = storage.check_store(url), storage.check_disk(url)
    assert (store.result, disk.result) == ("ok", "ok")
    assert store.description.endswith(f"events.db, schema {schema.HEAD}, writable, no damage")
    assert " free in " in disk.description


def _set_version(url: str, version: str) -> None:
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as database, database:
        database.execute("UPDATE alembic_version SET version_num = ?", (version,))


@pytest.mark.parametrize(("version", "result"), [("0001", "warning"), ("9999", "failed")])
def test_a_store_of_another_version(url: str, version: str, result: str) -> None:
    _set_version(url, version)
    found = storage.check_store(url)
    assert (found.result, version in found.description) == (result, True)


def test_a_store_that_is_not_there(tmp_path: Path) -> None:
    found = storage.check_store(f"sqlite:///{tmp_path / 'gone' / 'events.db'}")
    assert (found.result, "There is no store yet" in found.description) == ("failed", True)
    assert storage.check_disk(f"sqlite:///{tmp_path / 'gone' / 'events.db'}").result == "ok", (
        "the data directory is there"
    )


def test_a_damaged_store(url: str) -> None:
    Path(url.removeprefix("sqlite:///")).write_bytes(b"nonsense" * 1000)
    found = storage.check_store(url)
    assert found.result == "failed"
    assert "is damaged" in found.description
    assert "restore a backup" in found.hint


def test_a_postgresql_that_is_not_there() -> None:
    found = storage.check_store("postgresql://me:hunter2@127.0.0.1:1/events")
    assert found.result == "failed"
    assert "hunter2" not in str(found)
    assert found.hint == "Check that PostgreSQL runs and ONEPASSWORD_SOURCE_DATABASE_URL."


def test_a_disk_that_is_nearly_full(url: str) -> None:
    assert storage.check_disk(url, least=10**18, full=1).result == "warning"
    found = storage.check_disk(url, least=10**18, full=10**18)
    assert found.result == "failed"
    assert "writing stops when the disk is full" in found.hint


def test_a_disk_with_less_room_than_a_week_takes(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "growth", lambda _: 10**17)
    found = storage.check_disk(url)
    assert found.result == "warning"
    assert "the store grows by 100,000 TB a day" in found.description
    assert "onepassword-source prune" in found.hint


def test_what_each_part_takes_is_shown_with_its_bound(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONEPASSWORD_SOURCE_DATA_DIR", str(tmp_path))
    (tmp_path / "worker.log").write_bytes(b"x" * 7_000)
    found = storage.check_disk_use(url)
    assert found.result == "ok"
    assert "logs 7 kB (at most 30 MB); " in found.description
    for part in ("store", "write-ahead log", "Prefect's database", "UI", "other files"):
        assert f"{part} " in found.description
    assert "grows by" not in found.description


def test_a_disk_with_too_little_for_the_write_ahead_log(url: str) -> None:
    wal = Path(url.removeprefix("sqlite:///") + "-wal")
    with wal.open("wb") as file:
        file.truncate(2**40)  # a hole: it takes no room
    found = storage.check_disk(url)
    wal.unlink(missing_ok=True)  # to open a store that nothing uses removes it
    assert found.result == "warning"
    assert "1.1 TB in the write-ahead log" in found.description
