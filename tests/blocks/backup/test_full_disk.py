"""A disk that becomes full under a restore, a backup or a move: what is said, what is left, and that it goes on."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from support import backups
from support.kept_store import read_all
from support.small_disk import small_disk
from support.values import require_proof

from blocks.backup import room, store_reader, store_writer
from blocks.errors import FirstPartyGenericError
from blocks.store.engine import opened_engine
from blocks.store.transfer import moving
from deployments.backups import backup_file

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Engine

SIZES = (100, 212, 244)
"""KiB. The store has 202, and its log comes to it."""


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


@pytest.mark.parametrize("kib", SIZES)
def test_a_restore_leaves_nothing_and_is_repeated(full_url: str, tmp_path: Path, kib: int) -> None:
    backups.write(full_url, tmp_path / "b.tar.gz")
    disk = tmp_path / "disk"
    with small_disk(disk, kib) as grow:
        wanted = backups.restore_of(tmp_path / "b.tar.gz", f"sqlite:///{disk / 'events.db'}")
        with pytest.raises(FirstPartyGenericError) as caught:
            wanted.place()
        assert "Nothing of it is in place; the backup is as it was." in str(caught.value)
        assert str(caught.value).endswith(f"Free space in {disk}, and run the same command again.")
        assert names(disk) == []
        grow()
        wanted.place()
        with opened_engine(full_url) as before, opened_engine(wanted.url) as after:
            assert backups.rows(after) == backups.rows(before)
        assert names(disk) == ["events.db"]


def test_a_restore_that_has_no_room_does_not_begin(
    full_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = backups.write(full_url, tmp_path / "b.tar.gz")
    wanted = backups.restore_of(tmp_path / "b.tar.gz", f"sqlite:///{tmp_path / 'restored.db'}")
    needed = sum(part.size for part in made.parts) * store_reader.ROOM
    for free, refused in ((needed + 1, False), (needed - 1, True)):
        monkeypatch.setattr(room.shutil, "disk_usage", lambda _, free=free: SimpleNamespace(free=free))
        with pytest.raises(FirstPartyGenericError, match="Nothing of it is in place") if refused else nullcontext():
            wanted.require_room()


def back_up(engine: Engine, path: Path) -> None:
    with backup_file.new_file(path) as (file, scratch):
        archive = backups.ArchiveWriter(file, 0)
        store_writer.write_store(archive, engine, scratch)
        archive.finish(b"{}")


@pytest.mark.parametrize("kib", SIZES[:2])
def test_a_backup_leaves_nothing_and_the_store_is_as_it_was(
    full_url: str, tmp_path: Path, kib: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_writer, "require_room", lambda *_: None)  # the disk becomes full meanwhile
    disk = tmp_path / "disk"
    with opened_engine(full_url) as engine, small_disk(disk, 4 if "postgresql" in full_url else kib):
        before = read_all(engine)
        with pytest.raises(FirstPartyGenericError, match="No backup was made; the store is not affected"):
            back_up(engine, disk / "b.tar.gz")
        assert names(disk) == []
        assert read_all(engine) == before


@pytest.mark.parametrize("kib", [4, 300, 1200])
def test_a_move_says_so_and_continues(full_url: str, tmp_path: Path, kib: int) -> None:
    disk = tmp_path / "disk"
    with opened_engine(full_url) as engine, small_disk(disk, kib) as grow:
        before = read_all(engine)
        with opened_engine(f"sqlite:///{disk / 'new.db'}") as to:
            with pytest.raises(FirstPartyGenericError) as caught:
                moving.move(engine, to)
            assert "no command uses it. The store is unchanged" in str(caught.value)
            assert str(caught.value).endswith(f"it continues. Or remove {disk / 'new.db'}.")
            assert read_all(engine) == before
            grow()
            assert moving.move(engine, to).sound
            assert backups.rows(to) == backups.rows(engine)
            assert require_proof(to) > 0
