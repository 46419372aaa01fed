"""A backup of a store that is in use, with what Prefect knows: its file, its manifest, and what is not in it."""

from __future__ import annotations

import shutil
import socket
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from sqlalchemy import text
from support.chains import fill
from support.moving_clock import START_NS
from support.values import SOURCE

from blocks.errors import FirstPartyGenericError
from blocks.store import last_backup, schema, sources
from blocks.store.engine import open_engine
from deployments.backups import backup, restore
from deployments.backups.prefect_content import PrefectContent, SavedBlock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine
    from support.moving_clock import MovingClock

PASSPHRASE = "correct horse battery staple"


def content(*own_stores: str, others: list[str] | None = None) -> PrefectContent:
    blocks = [
        SavedBlock(name, name, {"slug": "1password-source"}, {}, {"name": name}, {"store": "S"}) for name in own_stores
    ]
    return PrefectContent(blocks, [], [], [], {}, others or [])


@pytest.fixture
def store(
    migrated_sqlite: Path, tmp_path: Path, moving: MovingClock, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Engine]:
    """A store with nine events, and a Prefect that knows nothing."""
    monkeypatch.setattr(backup.prefect_content, "read", content)
    engine = open_engine(f"sqlite:///{shutil.copy(migrated_sqlite, tmp_path / 'events.db')}")
    sources.save(engine, SOURCE)
    fill(engine, (2, 1))
    yield engine
    engine.dispose()


def test_a_backup_is_a_file_with_a_manifest_of_what_is_in_it(store: Engine, tmp_path: Path) -> None:
    path, numbers = tmp_path / "b.tar.gz", []
    made = backup.make(store, path, PASSPHRASE, numbers.append)
    opened = restore.open_backup(path)
    assert (made.path, made.size, made.sha256) == (path, path.stat().st_size, opened.archive.sha256)
    assert made.manifest == opened.manifest
    manifest = made.manifest
    assert (manifest.format, manifest.program, manifest.prefect) == (
        1,
        version("onepassword-source"),
        version("prefect"),
    )
    assert (manifest.created, manifest.host) == ("2026-09-21T14:13:20Z", socket.gethostname())
    assert (manifest.database, manifest.schema, manifest.other_stores) == ("sqlite", schema.HEAD, [])
    assert manifest.store.tables["events"].rows == 9
    assert [(one.api, one.events) for one in manifest.store.streams] == [("sign-in", 3), ("itemUsage", 3), ("audit", 3)]
    assert [one.name for one in manifest.parts] == ["prefect.json.enc", "store/events.db"]
    assert made.warnings == ()
    assert 0 < sum(numbers) <= backup.expected_bytes(store)


def test_what_prefect_knows_is_in_it_encrypted(store: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = content("secret name")
    monkeypatch.setattr(backup.prefect_content, "read", lambda: known)
    backup.make(store, tmp_path / "b", PASSPHRASE)
    sealed = restore.open_backup(tmp_path / "b").unseal(PASSPHRASE)
    assert sealed == msgspec.json.encode(known)
    assert restore.open_backup(tmp_path / "b").manifest.other_stores == ["secret name"]


def test_a_backup_is_recorded_in_the_store_and_is_not_in_itself(store: Engine, tmp_path: Path) -> None:
    made = backup.make(store, tmp_path / "b", PASSPHRASE)
    found = last_backup.find(store)
    assert found
    assert (found.time_ns, found.file) == (START_NS, str(tmp_path / "b"))
    with store.connect() as connection:
        records = connection.execute(text("SELECT count(*) FROM audit_log")).scalar()
    assert made.manifest.store.tables["audit_log"].rows == (records or 0) - 1


def test_a_backup_that_fails_leaves_no_file_and_no_record(
    store: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> Any:
        raise FirstPartyGenericError("The disk is full.")

    monkeypatch.setattr(backup, "write_store", fail)
    (tmp_path / "b").write_bytes(b"former")
    with pytest.raises(FirstPartyGenericError, match=r"^The disk is full\.$"):
        backup.make(store, tmp_path / "b", PASSPHRASE)
    assert (tmp_path / "b").read_bytes() == b"former"
    assert last_backup.find(store) is None


@pytest.mark.parametrize(
    ("known", "warnings"),
    [
        (content(), []),
        (
            content("two", "one"),
            [
                (
                    "The blocks of one, two name a store of their own, which is not in this backup: its events are "
                    "only in that database. Make a backup with ONEPASSWORD_SOURCE_DATABASE_URL set to it, too."
                )
            ],
        ),
        (content(others=["a", "b"]), ["Deployments of other flows are not in the backup: a, b."]),
    ],
    ids=["everything is in it", "other stores", "other deployments"],
)
def test_what_is_not_in_it_is_a_warning(known: PrefectContent, warnings: list[str]) -> None:
    assert list(backup._warnings(known)) == warnings


def test_the_settings_are_kept_but_of_secrets_only_their_names(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("DATABASE_URL", "postgresql://me:hidden@db/x"), ("BACKUP_AFTER", "36h"), ("RATE_LIMITS", "")):
        monkeypatch.setenv(f"ONEPASSWORD_SOURCE_{name}", value)
    found = backup._settings()
    assert (found["DATABASE_URL"], found["BACKUP_AFTER"]) == (None, "36h")
    assert not {"RATE_LIMITS", "API_TOKEN"} & found.keys()


def test_every_setting_that_holds_a_secret_is_one_of_these() -> None:
    named = {one.name for one in backup.settings.SETTINGS}
    assert named >= backup.SECRET_SETTINGS
    words = ("PASSWORD", "PASSPHRASE", "TOKEN", "SECRET", "KEY")
    assert {name for name in named if name.endswith(words)} <= backup.SECRET_SETTINGS


def test_about_as_many_bytes_are_expected_as_the_store_has(engine: Engine) -> None:
    expected = backup.expected_bytes(engine)
    if engine.dialect.name == "sqlite":
        assert expected == 2 * Path(str(engine.url.database)).stat().st_size
    else:
        with engine.connect() as connection:
            pages = connection.execute(text("SELECT sum(pg_relation_size(oid)) FROM pg_class WHERE relkind = 'r'"))
            assert expected > int(pages.scalar_one()) > 0
