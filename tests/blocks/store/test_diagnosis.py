"""A store is looked at and not changed: damage, locks, rights, versions, on both databases."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text
from support.values import SOURCE

from blocks.errors import FirstPartyGenericError, ThirdPartyConfigError
from blocks.store import diagnosis, schema
from blocks.store.diagnosis import SourceAddress
from blocks.store.engine import open_engine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from blocks.store.sources import SourceRecord

UNPRIVILEGED_ID = 65534


@pytest.fixture
def file(migrated_sqlite: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(migrated_sqlite, tmp_path / "events.db"))


def change(url: str, *statements: str) -> None:
    engine = open_engine(url)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()


def test_a_good_store(store_url: str) -> None:
    found = diagnosis.inspect(store_url)
    assert (found.version, found.refusal, found.busy, found.damage) == (schema.HEAD, "", False, "")
    assert found.checked


def test_the_sources_in_it(store_url: str, source: SourceRecord) -> None:
    assert diagnosis.source_addresses(store_url) == (SourceAddress(SOURCE.name, SOURCE.base_url, None),)


def test_a_database_without_tables(empty_url: str) -> None:
    if empty_url.startswith("sqlite"):
        Path(empty_url.removeprefix("sqlite:///")).touch()
    assert diagnosis.inspect(empty_url).version is None
    with pytest.raises(FirstPartyGenericError):
        diagnosis.source_addresses(empty_url)


def test_another_version_is_reported_and_not_migrated(store_url: str) -> None:
    engine = open_engine(store_url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    engine.dispose()
    assert diagnosis.inspect(store_url).version == "0001"
    assert diagnosis.inspect(store_url).version == "0001"


def test_a_file_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    for ask in (diagnosis.inspect, diagnosis.source_addresses):
        with pytest.raises(ThirdPartyConfigError, match="There is no store yet at"):
            ask(f"sqlite:///{tmp_path / 'events.db'}")
    assert list(tmp_path.iterdir()) == []


def test_the_file_stays_as_it_is(file: Path) -> None:
    before = file.read_bytes()
    diagnosis.inspect(f"sqlite:///{file}")
    assert file.read_bytes() == before
    assert [path.name for path in file.parent.iterdir()] == ["events.db"]


def test_a_file_of_something_else_is_damage(file: Path) -> None:
    file.write_bytes(b"not a database, but long enough to have a header of one" * 100)
    assert "not a database" in diagnosis.inspect(f"sqlite:///{file}").damage


def test_a_page_that_was_overwritten_is_damage(file: Path) -> None:
    with closing(sqlite3.connect(file)) as database:
        (page,) = database.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'sources'").fetchone()
        (size,) = database.execute("PRAGMA page_size").fetchone()
        database.execute("PRAGMA journal_mode=DELETE")
    with file.open("r+b") as raw:
        raw.seek((page - 1) * size)
        raw.write(b"\xff" * size)
    assert diagnosis.inspect(f"sqlite:///{file}").damage


def test_a_store_that_another_process_writes_to(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnosis, "LOCK_SECONDS", 0.1)
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        found = diagnosis.inspect(f"sqlite:///{file}")
    assert found.busy
    assert not found.refusal


def test_a_large_store_is_looked_at_in_part(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
    monkeypatch.setattr(diagnosis, "CHECK_SECONDS", 0.1)
    monkeypatch.setattr(diagnosis, "_damage_of", lambda database, _table: database.execute(endless).fetchone())
    before = time.monotonic()
    found = diagnosis.inspect(f"sqlite:///{file}")
    assert time.monotonic() - before < 5
    assert (found.damage, found.version) == ("", schema.HEAD)
    assert "the newest 1,000 events read" in found.checked


@pytest.fixture
def for_all(migrated_sqlite: Path) -> Iterator[Path]:
    """A directory that everybody may read: pytest's own are for their owner alone."""
    with tempfile.TemporaryDirectory(prefix="onepassword-source-") as directory:
        path = Path(directory)
        shutil.copy(migrated_sqlite, path / "events.db")
        path.chmod(0o755)
        (path / "events.db").chmod(0o444)
        yield path
        path.chmod(0o700)


INSPECT_UNPRIVILEGED = f"""
import os
from blocks.errors import FirstPartyGenericError
from blocks.store import diagnosis
if os.geteuid() == 0:  # for whom nothing is read-only
    os.setgroups([])
    os.setgid({UNPRIVILEGED_ID})
    os.setuid({UNPRIVILEGED_ID})
try:
    print("refusal:", diagnosis.inspect("sqlite:///DIRECTORY/events.db").refusal)
except FirstPartyGenericError as error:
    print(error)
"""


@pytest.mark.parametrize("what", ["directory", "file"])
def test_a_store_that_may_not_be_written(for_all: Path, what: str) -> None:
    for_all.chmod(0o555 if what == "directory" else 0o777)
    if what == "directory":
        (for_all / "events.db").chmod(0o666)
    code = INSPECT_UNPRIVILEGED.replace("DIRECTORY", str(for_all))
    output = subprocess.check_output([sys.executable, "-c", code], text=True, timeout=60)
    assert ("cannot be opened: unable to open database file" in output) or ("readonly database" in output), output


def test_a_postgresql_that_takes_no_writes(postgresql: str, request: pytest.FixtureRequest) -> None:
    name = f"test_{os.urandom(6).hex()}"
    url = postgresql.replace("/postgres?", f"/{name}?")
    change(postgresql, f"CREATE DATABASE {name} TEMPLATE migrated")
    request.addfinalizer(lambda: change(postgresql, f"DROP DATABASE {name} WITH (FORCE)"))
    change(postgresql, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    assert diagnosis.inspect(url).refusal == "its transactions are read-only"


def test_a_user_without_the_right_to_write(postgresql: str, request: pytest.FixtureRequest) -> None:
    name = f"test_{os.urandom(6).hex()}"
    url = postgresql.replace("/postgres?", f"/{name}?")
    change(postgresql, f"CREATE DATABASE {name} TEMPLATE migrated", f"CREATE ROLE {name} LOGIN")
    request.addfinalizer(
        lambda: change(postgresql, f"DROP DATABASE {name} WITH (FORCE)", f"DROP ROLE {name}"),
    )
    change(url, f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {name}")
    user = url.split("://")[1].split(":")[0].split("@")[0]
    assert (
        diagnosis.inspect(url.replace(f"//{user}", f"//{name}", 1)).refusal
        == "the user has no INSERT privilege on events"
    )


def test_a_postgresql_that_is_not_there_keeps_its_password_to_itself() -> None:
    with pytest.raises(FirstPartyGenericError, match="The store did not answer") as raised:
        diagnosis.inspect("postgresql://me:hunter2@127.0.0.1:1/events")
    assert "hunter2" not in str(raised.value)
