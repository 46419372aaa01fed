"""The store's schema upgrades by itself, and a newer one is an error."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text
from sqlmodel import SQLModel
from support import fresh_schema
from support.fresh_schema import by_migrations

from blocks.errors import FirstPartyGenericError, StoreVersionError, ThirdPartyConfigError
from blocks.store import schema, source_status
from blocks.store.engine import open_engine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine

MIGRATIONS = Path(schema.__file__).parent / "migrations"

# What the first version of the program wrote, in its own columns.
FIRST_VERSION = (
    (
        "INSERT INTO sources (id, name, fields, base_url, apis, api_version, fingerprint, state, state_message,"
        " created_ns) VALUES ('1', '1Pass', '{}', 'https://events.1password.com', '[\"audit\"]', 'v2', 'f',"
        " 'Collected', '', 0)"
    ),
    "INSERT INTO streams (id, source_id, api, events) VALUES (1, '1', 'audit', 1)",
    "INSERT INTO events (stream_id, uuid, time_ns, received_ns, body) VALUES (1, 'UUID', 0, 0, :body)",
)


@pytest.fixture(autouse=True)
def _migrations_run() -> Iterator[None]:
    with by_migrations():
        yield


def test_the_newest_migration_is_the_one_that_the_program_expects() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_current_head() == schema.HEAD


def test_the_migrations_make_the_tables_that_the_models_describe(engine: Engine) -> None:
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, SQLModel.metadata) == []


def test_an_older_store_upgrades_by_itself_and_keeps_its_events(empty_url: str) -> None:
    engine = open_engine(empty_url)
    schema.upgrade(engine, to="0001")
    with engine.begin() as connection:
        for statement in FIRST_VERSION:
            connection.execute(text(statement), {"body": '{"uuid": "UUID", "action": "join"}'})
    engine.dispose()

    upgraded = source_status.open_store(empty_url)
    assert schema.version(upgraded) == schema.HEAD
    with upgraded.connect() as connection:
        assert connection.execute(text("SELECT uuid, action FROM audit_events")).all() == [("UUID", "join")]
    upgraded.dispose()


def test_what_fails_while_the_store_is_upgraded_has_failed_once_at_least(empty_url: str) -> None:
    engine = open_engine(empty_url)
    schema.upgrade(engine, to="0010")
    with engine.begin() as connection:
        connection.execute(text(FIRST_VERSION[0]))
        for api, since in (("audit", "7"), ("sign-in", "NULL")):
            connection.execute(
                text(f"INSERT INTO streams (source_id, api, failing_since_ns) VALUES ('1', '{api}', {since})")
            )
    schema.upgrade(engine)
    with engine.connect() as connection:
        found = connection.execute(text("SELECT api, failed_attempts FROM streams ORDER BY api")).all()
    assert found == [("audit", 1), ("sign-in", 0)]
    engine.dispose()


def test_a_newer_store_is_an_error_and_left_alone(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreVersionError, match=r"schema version 9999.*newer.*Install the newer version again"):
        schema.upgrade(engine)
    assert schema.version(engine) == "9999"


def test_a_new_store_of_the_tests_is_what_the_migrations_make(tmp_path: Path) -> None:
    def made(name: str) -> list[str]:
        opened = open_engine(f"sqlite:///{tmp_path / name}")
        schema.upgrade(opened)
        opened.dispose()
        with closing(sqlite3.connect(tmp_path / name)) as database:
            return list(database.iterdump())

    by_all_migrations = made("migrated.db")
    fresh_schema.share()
    for name in ("first.db", "second.db"):  # the first one may still run the migrations
        assert made(name) == by_all_migrations


@pytest.mark.processes
def test_several_processes_may_make_the_store_at_once(empty_url: str) -> None:
    script = (
        "import sys; from blocks.store import schema; from blocks.store.engine import open_engine\n"
        "engine = open_engine(sys.argv[1]); sys.stdin.readline(); schema.upgrade(engine); print(schema.version(engine))"
    )
    command = [sys.executable, "-c", script, empty_url]
    started = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    for process in started:  # all are ready before the first starts
        assert process.stdin
        process.stdin.write("\n")
        process.stdin.flush()
    ended = [process.communicate(timeout=60) for process in started]
    assert [out.strip() for out, _ in ended] == [schema.HEAD] * 3, [error for _, error in ended]


def test_the_file_of_the_store_is_private(tmp_path: Path) -> None:
    path = tmp_path / "new.db"
    before = os.umask(0)
    try:
        engine = open_engine(f"sqlite:///{path}")
        schema.upgrade(engine)
        with engine.begin() as connection:
            connection.execute(text("DELETE FROM events"))
            modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
    finally:
        os.umask(before)
    assert modes == {"new.db": 0o600, "new.db-wal": 0o600, "new.db-shm": 0o600}
    engine.dispose()


@pytest.mark.parametrize("url", ["mysql://x/y", "nonsense", "", "sqlite+aiosqlite", "http://127.0.0.1/"])
def test_a_url_of_no_store_says_what_would_be_right(url: str) -> None:
    with pytest.raises(ThirdPartyConfigError, match=r"sqlite:///.*postgresql://"):
        open_engine(url)


def test_a_database_that_is_not_there_is_a_first_party_error_without_its_password() -> None:
    engine = open_engine("postgresql://someone:hidden-password@127.0.0.1:1/events")
    with pytest.raises(FirstPartyGenericError, match="The store did not answer") as caught:
        schema.upgrade(engine)
    assert "hidden-password" not in str(caught.value)
    engine.dispose()


def test_reading_where_no_store_is_makes_none(tmp_path: Path) -> None:
    path = tmp_path / "none.db"
    with pytest.raises(ThirdPartyConfigError, match=r"There is no store yet at .*apply FILE"):
        source_status.open_store(f"sqlite:///{path}")
    assert not path.exists()
