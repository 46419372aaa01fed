"""`migrate`: the store is upgraded, Prefect's database by Prefect's own command, and each failure is explained."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from blocks import python_process
from blocks.store import schema
from blocks.store.engine import open_engine
from deployments import cli
from deployments.commands import migrate
from deployments.prefect_api import shared_server

if TYPE_CHECKING:
    from support.command_calls import CommandCalls

NAME = "PREFECT_SERVER_DATABASE_CONNECTION_URL"
LEFT_ALONE = f"Prefect's database was left alone: {NAME} is not set.\n"


class Prefect:
    """Prefect's own command: it records how it was called, and ends as the test has it."""

    def __init__(self) -> None:
        self.code, self.stderr = 0, ""
        self.command: list[str] = []
        self.env: dict[str, str] = {}

    def run(self, command: list[str], *, env: dict[str, str], **options: Any) -> subprocess.CompletedProcess[str]:
        assert options == {"capture_output": True, "text": True, "check": False}
        self.command, self.env = command, env
        return subprocess.CompletedProcess(command, self.code, "", self.stderr)


@pytest.fixture
def prefect(monkeypatch: pytest.MonkeyPatch, own_directory: Path) -> Prefect:
    """Prefect's command, and a store that does not exist yet."""
    assert list(own_directory.iterdir()) == []
    own = Prefect()
    monkeypatch.setattr(migrate.subprocess, "run", own.run)
    for name in (NAME, *_other_names_of_the_url()):
        monkeypatch.delenv(name, raising=False)
    return own


def _other_names_of_the_url() -> list[str]:
    return [name for name in os.environ if name.endswith("DATABASE_CONNECTION_URL")]


def test_the_store_is_created_and_then_unchanged(call: CommandCalls, prefect: Prefect) -> None:
    assert call("migrate") == f"The store has schema version {schema.HEAD} (created).\n{LEFT_ALONE}"
    assert call("migrate") == f"The store has schema version {schema.HEAD} (unchanged).\n{LEFT_ALONE}"
    assert prefect.command == []
    store = open_engine(os.environ["ONEPASSWORD_SOURCE_DATABASE_URL"])
    assert schema.version(store) == schema.HEAD
    store.dispose()


@pytest.mark.usefixtures("prefect")
def test_the_schema_of_an_older_version_is_named(call: CommandCalls) -> None:
    store = open_engine(os.environ["ONEPASSWORD_SOURCE_DATABASE_URL"])
    schema.upgrade(store, to="0003")
    store.dispose()
    assert call("migrate").startswith(f"The store has schema version {schema.HEAD} (it was 0003).\n")


@pytest.mark.usefixtures("prefect")
def test_the_schema_of_a_newer_version_is_an_error(call: CommandCalls) -> None:
    call("migrate")
    store = open_engine(os.environ["ONEPASSWORD_SOURCE_DATABASE_URL"])
    with store.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    store.dispose()
    assert "9999" in call("migrate", code=cli.IN_ERROR)


def test_prefects_database_is_upgraded_as_of_a_server(
    call: CommandCalls, prefect: Prefect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(NAME, "postgresql+asyncpg://db/prefect")
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:1/api")
    printed = call("migrate").splitlines()
    assert printed[1:] == ["Prefect's database has the schema of this version."]
    assert prefect.command == python_process.command("prefect", "server", "database", "upgrade", "--yes")
    assert prefect.env[NAME] == "postgresql+asyncpg://db/prefect"
    assert "PREFECT_API_URL" not in prefect.env, "with it, Prefect would ask a server"
    assert prefect.env.keys() == os.environ.keys() - {"PREFECT_API_URL"}


@pytest.mark.parametrize(
    ("stderr", "said"),
    [
        ("Traceback\n  File\nInvalidCatalogNameError: there is none\n\n", "InvalidCatalogNameError: there is none"),
        ("one\x1b[31m", "one\ufffd[31m"),
        (" \n", "no message"),
        ("", "no message"),
    ],
)
def test_what_prefect_said_is_reported(
    call: CommandCalls, prefect: Prefect, monkeypatch: pytest.MonkeyPatch, stderr: str, said: str
) -> None:
    monkeypatch.setenv(NAME, "postgresql+asyncpg://db/prefect")
    prefect.code, prefect.stderr = 1, stderr
    call("migrate", code=cli.IN_ERROR)
    assert call.err == (
        f"onepassword-source: Prefect's database could not be upgraded: {said}. Sources and events are in the store, "
        f"which is not affected. Check {NAME} and that the database answers; then run `onepassword-source migrate` "
        "again.\n"
    )


def test_the_name_of_the_url_is_that_of_the_server() -> None:
    assert shared_server.DATABASE == NAME


def test_the_working_directory_is_left(call: CommandCalls, prefect: Prefect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NAME, "postgresql+asyncpg://db/prefect")
    before, seen = Path.cwd(), []

    def run(*given: Any, **options: Any) -> subprocess.CompletedProcess[str]:
        seen.append(Path.cwd())
        return prefect.run(*given, **options)

    monkeypatch.setattr(migrate.subprocess, "run", run)
    call("migrate")
    assert len(seen) == 1
    assert seen[0] != before
