"""What is kept on the disk, by parts that add up to all of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from deployments.disk_usage import parts

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "data"
    for name, size in {
        "events.db": 1000,
        "events.db-shm": 10,
        "events.db-wal": 200,
        "server.log": 30,
        "worker.log.1": 40,
        "secrets.json": 5,
        "prefect/postgresql-18/base/1/2": 7000,
        "prefect/postgresql-18/pg_wal/1": 500,
        "prefect/ui/x/index.html": 90,
        "prefect/worker-beat": 0,
    }.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(b"x" * size)
    monkeypatch.setenv("ONEPASSWORD_SOURCE_DATA_DIR", str(path))
    return path


def test_the_parts_add_up_to_the_data_directory(data: Path) -> None:
    found = parts(f"sqlite:///{data}/events.db")
    assert {part.name: part.size for part in found} == {
        "store": 1010,
        "write-ahead log": 200,
        "Prefect's database": 7500,
        "logs": 70,
        "UI": 90,
        "other files": 5,
    }
    assert all(part.bound for part in found)


def test_a_store_elsewhere_counts_but_is_not_taken_from_the_rest(data: Path, tmp_path: Path) -> None:
    (tmp_path / "other.db").write_bytes(b"x" * 77)
    found = {part.name: part.size for part in parts(f"sqlite:///{tmp_path}/other.db")}
    assert (found["store"], found["other files"]) == (77, 1215)


def test_a_store_in_postgresql_is_not_on_this_disk(data: Path) -> None:
    assert "store" not in {part.name for part in parts("postgresql://host/database")}
