"""`restore` of a store alone, which needs no Prefect. test_backup_and_restore.py restores all of it."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest
from support import backups
from support.command_calls import CommandCalls
from support.kept_store import fill
from support.small_disk import small_disk

from blocks.backup import store_reader
from blocks.store.engine import open_engine
from deployments import cli
from deployments.prefect_api import file_lock, restore_marker

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> CommandCalls:
    return CommandCalls(capsys)


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    url = f"sqlite:///{tmp_path / 'events.db'}"
    fill(url, tmp_path / "unpacked.db")
    backups.write(url, tmp_path / "b.tar.gz")
    return tmp_path / "b.tar.gz"


@pytest.fixture(autouse=True)
def data(tmp_path: Path, target_url: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data directory, and an empty database."""
    monkeypatch.setenv("ONEPASSWORD_SOURCE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("ONEPASSWORD_SOURCE_DATABASE_URL", target_url)
    return tmp_path / "data"


def test_the_store_alone_is_restored_and_proved(
    call: CommandCalls, backup: Path, tmp_path: Path, target_url: str
) -> None:
    shown = call("restore", str(backup), "--without-secrets")
    assert "Sound: Example" in shown
    assert "Apply your sources and SIEMs again" in call.err
    assert "sent to it again" in call.err
    before, after = open_engine(f"sqlite:///{tmp_path / 'events.db'}"), open_engine(target_url)
    assert backups.rows(after) == backups.rows(before)
    for engine in (before, after):
        engine.dispose()
    assert restore_marker.read() is None
    assert "not empty" in call("restore", str(backup), "--without-secrets", code=cli.WRONG_USE)


def test_a_damaged_file_restores_nothing(call: CommandCalls, backup: Path, data: Path) -> None:
    content = bytearray(backup.read_bytes())
    content[len(content) // 2] ^= 1
    backup.write_bytes(content)
    assert "is damaged or not complete" in call("restore", str(backup), code=cli.IN_ERROR)
    assert not (data / "restoring").exists()


def test_the_passphrase_is_needed_before_anything_is_written(call: CommandCalls, backup: Path, data: Path) -> None:
    assert "There is no passphrase" in call("restore", str(backup), code=cli.WRONG_USE)
    assert not (data / "restoring").exists()


def test_while_up_runs_it_refuses(call: CommandCalls, backup: Path, data: Path) -> None:
    data.mkdir()
    with file_lock.hold(data / "up.lock"):
        assert "`up` is running" in call("restore", str(backup), "--without-secrets", code=cli.IN_ERROR)


def test_another_unfinished_restore_is_not_mixed_with_it(call: CommandCalls, backup: Path) -> None:
    restore_marker.write("of another")
    assert "restore of another backup" in call("restore", str(backup), "--without-secrets", code=cli.IN_ERROR)


def test_a_file_that_is_missing_is_named(call: CommandCalls, tmp_path: Path) -> None:
    assert "none cannot be read" in call("restore", str(tmp_path / "none"), code=cli.WRONG_USE)


def test_on_a_full_disk_the_directory_is_as_before(
    call: CommandCalls, backup: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = tmp_path / "disk"
    monkeypatch.setenv("ONEPASSWORD_SOURCE_DATA_DIR", str(disk))
    monkeypatch.delenv("ONEPASSWORD_SOURCE_DATABASE_URL")
    with small_disk(disk, 100) as grow:
        with monkeypatch.context() as patched:
            patched.setattr(store_reader, "require_room", lambda *_: None)  # the disk becomes full meanwhile
            said = call("restore", str(backup), "--without-secrets", code=cli.IN_ERROR)
        assert "Nothing of it is in place" in said
        assert "run the same command again" in said
        assert [path.name for path in disk.iterdir() if path.stat().st_size] == []
        restore_marker.require_complete()  # `up` may start
        grow()
        assert "Sound: Example" in call("restore", str(backup), "--without-secrets")


def test_a_restore_that_cannot_be_recorded_does_not_begin(
    call: CommandCalls, backup: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(restore_marker.os, "fsync", fail)
    said = call("restore", str(backup), "--without-secrets", code=cli.IN_ERROR)
    assert "The restore cannot begin: No space left on device. Nothing was restored" in said
    assert [path.name for path in data.iterdir() if path.stat().st_size] == []
