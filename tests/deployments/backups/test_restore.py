"""A restore: whether it is possible, what of it is in place already, and the marker that says it is not complete."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from support import backups
from support.chains import fill
from support.values import SOURCE

from blocks.backup import manifest as manifests
from blocks.backup import secret_box
from blocks.backup.manifest import Manifest, PartEntry, StoreContent
from blocks.backup.sealed_archive import ArchiveWriter, open_sealed
from blocks.errors import FirstPartyGenericError, ThirdPartyConfigError
from blocks.store import schema, sources
from blocks.store.engine import opened_engine
from deployments.backups import prefect_content, restore
from deployments.backups.prefect_content import PrefectContent
from deployments.backups.restore import OpenedBackup
from deployments.prefect_api import restore_marker, up_lock

if TYPE_CHECKING:
    from collections.abc import Callable

PASSPHRASE = "correct horse battery staple"
CONTENT = PrefectContent([], [], [], [], {"is_paused": False}, ["mine"])


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data directory of a new machine, and no database yet."""
    path = tmp_path / "data"
    path.mkdir()
    monkeypatch.setenv("ONEPASSWORD_SOURCE_DATA_DIR", str(path))
    monkeypatch.setenv("ONEPASSWORD_SOURCE_DATABASE_URL", f"sqlite:///{path / 'events.db'}")
    return path


def archive(path: Path, **parts: bytes) -> Path:
    """A backup of these parts alone."""
    with path.open("wb") as file:
        writer = ArchiveWriter(file, 0)
        for name, content in parts.items():
            writer.add(name.replace("__", "/"), content)
        entries = [PartEntry(one.name, one.size, one.sha256) for one in writer.parts]
        store = StoreContent({}, {}, [], [])
        made = Manifest(1, "0", "0", "2026-01-01T00:00:00Z", "h", "sqlite", schema.HEAD, store, entries, {})
        writer.finish(made.encode())
    return path


class Store:
    """The restore of a store that only records its calls."""

    def __init__(self, *, placed: bool = False, is_file: bool = True, fails: bool = False) -> None:
        self.placed = placed
        self.is_file = is_file
        self.fails = fails
        self.calls: list[object] = []

    def require_empty(self) -> None:
        self.calls.append("require empty")

    def is_placed(self) -> bool:
        return self.placed

    def require_room(self) -> None:
        self.calls.append("require room")

    def place(self, advance: Callable[[int], object], *, paused: bool) -> None:
        self.calls.append(("place", restore_marker.read(), paused))
        if self.fails:
            raise FirstPartyGenericError("The disk is full.")
        advance(7)

    def settle(self, *, paused: bool) -> None:
        self.calls.append(("settle", paused))


@pytest.fixture
def backup(tmp_path: Path) -> OpenedBackup:
    return restore.open_backup(archive(tmp_path / "b.tar.gz", store__x=b"rows"))


# The file


def test_a_backup_is_read_with_its_manifest(tmp_path: Path) -> None:
    path, read = archive(tmp_path / "b.tar.gz", store__x=b"rows"), []
    found = restore.open_backup(path, read.append)
    assert found.archive == open_sealed(path)
    assert found.manifest == manifests.parse(found.archive.manifest())
    assert 0 < sum(read) <= path.stat().st_size


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ThirdPartyConfigError) as raised:
        restore.open_backup(tmp_path / "none")
    assert (raised.value.code, str(raised.value)) == (
        "usage",
        f"{tmp_path / 'none'} cannot be read: No such file or directory. Nothing was restored. Name a backup.",
    )


def test_what_a_backup_keeps_of_prefect_is_opened_with_the_passphrase(tmp_path: Path) -> None:
    sealed = secret_box.seal(msgspec.json.encode(CONTENT), PASSPHRASE)
    parts = {"store__x": b"rows", "prefect.json.enc": sealed, "store__y": b"more"}
    found = restore.open_backup(archive(tmp_path / "b.tar.gz", **parts))
    content = found.unseal(PASSPHRASE)
    assert content
    assert restore.decode(content) == CONTENT
    with pytest.raises(ThirdPartyConfigError, match="passphrase"):
        found.unseal("another passphrase")


def test_a_backup_without_that_part_keeps_nothing(backup: OpenedBackup) -> None:
    assert backup.unseal(PASSPHRASE) is None


def test_its_store_is_restored_into_the_database_of_the_settings(backup: OpenedBackup, data: Path) -> None:
    found = restore.store_restore(backup)
    assert (found.url, found.scratch) == (f"sqlite:///{data / 'events.db'}", data / ".restoring-store")
    assert (found.archive, found.manifest) == (backup.archive, backup.manifest)


# Whether it is possible


def require_possible(backup: OpenedBackup, store: Any) -> str:
    with pytest.raises(FirstPartyGenericError) as raised:
        restore.require_possible(backup, store)
    assert raised.value.code == "restore"
    return str(raised.value)


def test_a_new_restore_needs_an_empty_database(backup: OpenedBackup) -> None:
    store: Any = Store()
    restore.require_possible(backup, store)
    assert store.calls == ["require empty", "require room"]


def test_an_interrupted_restore_of_the_same_backup_goes_on(backup: OpenedBackup) -> None:
    restore_marker.write(backup.archive.sha256)
    store: Any = Store()
    restore.require_possible(backup, store)
    assert store.calls == [], "the store may be there already"


def test_an_interrupted_restore_of_another_backup_is_in_the_way(backup: OpenedBackup, data: Path) -> None:
    restore_marker.write("another")
    assert require_possible(backup, Store()) == (
        "The restore of another backup was interrupted here, and is not complete. Nothing was changed. Restore that "
        f"backup again: it continues. Or empty {data} and the database first."
    )


def test_a_running_up_is_in_the_way(backup: OpenedBackup) -> None:
    with up_lock.hold():
        assert require_possible(backup, Store()) == (
            "`up` is running with this data directory. Nothing was restored. Stop it with Ctrl-C, and restore into an "
            "empty data directory."
        )
    restore.require_possible(backup, Store())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("begun", "holds", "refused"), [(False, True, True), (False, False, False), (True, True, False)]
)
def test_a_prefect_with_sources_is_in_the_way_of_a_new_restore(
    monkeypatch: pytest.MonkeyPatch, begun: bool, holds: bool, refused: bool
) -> None:
    monkeypatch.setattr(prefect_content, "holds_sources", lambda: holds)
    if begun:
        restore_marker.write("a backup")
    if not refused:
        restore.require_no_sources()
        return
    with pytest.raises(ThirdPartyConfigError) as raised:
        restore.require_no_sources()
    assert (raised.value.code, str(raised.value)) == (
        "restore",
        (
            "The Prefect server has sources already, so their tokens and schedules would be mixed with those of the "
            "backup. Nothing was restored. Restore into an empty directory: "
            "ONEPASSWORD_SOURCE_DATA_DIR=/another/directory"
        ),
    )


# Its steps


@pytest.mark.parametrize("paused", [False, True])
def test_the_store_is_placed_behind_the_marker_and_settled(backup: OpenedBackup, paused: bool) -> None:
    store: Any = Store()
    done: list[int] = []
    restore.place_store(backup, store, paused=paused, advance=done.append)
    assert store.calls == [("place", backup.archive.sha256, paused)]
    assert done == [7]
    with pytest.raises(FirstPartyGenericError, match="was interrupted"):
        restore_marker.require_complete()


@pytest.mark.parametrize("is_file", [True, False])
def test_a_file_that_could_not_be_placed_leaves_no_marker(backup: OpenedBackup, is_file: bool) -> None:
    """A copy in PostgreSQL stays, to be continued; so does its marker."""
    store: Any = Store(is_file=is_file, fails=True)
    with pytest.raises(FirstPartyGenericError, match="The disk is full"):
        restore.place_store(backup, store, paused=False)
    assert restore_marker.read() == (None if is_file else backup.archive.sha256)


def test_a_store_that_is_in_place_is_settled_again_and_not_placed(backup: OpenedBackup) -> None:
    store: Any = Store(placed=True)
    restore.place_store(backup, store, paused=False)
    assert store.calls == [("settle", False)]


def test_a_restore_that_is_finished_lets_up_start(backup: OpenedBackup) -> None:
    restore_marker.write(backup.archive.sha256)
    restore.finish()
    assert restore_marker.read() is None
    restore_marker.require_complete()


def test_what_prefect_gets_is_that_of_the_backup(monkeypatch: pytest.MonkeyPatch) -> None:
    from deployments.backups import prefect_restore

    given: list[Any] = []

    def put(content: PrefectContent, **options: Any) -> str:
        given.extend([content, options["paused"], options["advance"]])
        return "restored"

    monkeypatch.setattr(prefect_restore, "restore", put)
    assert restore.place_prefect(CONTENT, paused=True, advance=print) == "restored"  # type: ignore[comparison-overlap]
    assert given == [CONTENT, True, print]


def test_the_restored_store_is_proved_by_the_chains_of_the_backup(
    migrated_sqlite: Path, tmp_path: Path, data: Path
) -> None:
    url = f"sqlite:///{shutil.copy(migrated_sqlite, tmp_path / 'old.db')}"
    with opened_engine(url) as engine:
        sources.save(engine, SOURCE)
        fill(engine, (3, 2))
    backups.write(url, tmp_path / "b.tar.gz")
    backup = restore.open_backup(tmp_path / "b.tar.gz")
    store = restore.store_restore(backup)
    restore.place_store(backup, store, paused=False)
    (proof,) = restore.prove(backup, store)
    assert (proof.source, proof.events, proof.sound) == ("1Pass", 15, True)
    with opened_engine(f"sqlite:///{data / 'events.db'}") as engine, engine.begin() as connection:
        connection.exec_driver_sql("UPDATE events SET body = '{}' WHERE id = 1")
    (proof,) = restore.prove(backup, store)
    assert not proof.sound
