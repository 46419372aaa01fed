"""What an earlier version kept in SQLite is in PostgreSQL after the first start: all of it, or still in SQLite."""

from __future__ import annotations

import json
import lzma
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from support import prefect_database
from support.one_machine import environment, free_port, run_python, wait_until
from support.paths import FIXTURES

from deployments.prefect_api import database_move

OLD = FIXTURES / "releases" / "before_postgresql"
MOVE = "from deployments.prefect_api import database\nwith database.running(): pass\ndatabase.wait_until_stopped()"
KILLED = f"""
import os, signal
from deployments.prefect_api import database_move
copy, tables = database_move._copy_table, iter(range(1000))
def killed(*arguments):
    if next(tables) == 20:
        os.kill(os.getpid(), signal.SIGKILL)
    copy(*arguments)
database_move._copy_table = killed
{MOVE}
"""
READ = """
from deployments import prefect_session
with prefect_session.prefect_session():
    from prefect.blocks.system import Secret
    from prefect.blocks.notifications import SlackWebhook
    from prefect.variables import Variable
    from blocks.prefect_names import block_name
    from blocks.source import OnePasswordSource
    import json
    source = OnePasswordSource.load(block_name("Kept: 1Pass"))
    print(json.dumps([
        Secret.load("mine").get(), SlackWebhook.load("security").url.get_secret_value(), Variable.get("kept"),
        source.credentials.api_token.get_secret_value(), source.description,
    ]))
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The old data directory, as it was left."""
    directory = tmp_path / "data"
    (directory / "prefect").mkdir(mode=0o700, parents=True)
    directory.chmod(0o700)
    shutil.copy(OLD / "secrets.json", directory)
    (directory / "secrets.json").chmod(0o600)
    for name in ("events.db", "prefect/prefect.db"):
        (directory / name).write_bytes(lzma.decompress((OLD / f"{Path(name).name}.xz").read_bytes()))
        (directory / name).chmod(0o600)
    return directory


def _run(code: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    env = environment(tmp_path, free_port())
    return subprocess.run(
        [sys.executable, "-c", code], env=env, cwd=tmp_path, capture_output=True, text=True, check=False
    )


def _rows_of_sqlite(path: Path) -> dict[str, set[str]]:
    with closing(sqlite3.connect(path)) as old:
        tables = [name for (name,) in old.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {
            name: {str(row[0]) for row in old.execute(f'SELECT id FROM "{name}"')}
            for name in tables
            if _has_id(old, name)
        }


def _has_id(old: sqlite3.Connection, table: str) -> bool:
    return "id" in {row[1] for row in old.execute(f'PRAGMA table_info("{table}")')}


@pytest.mark.prefect
def test_every_row_and_every_secret_is_there_after_the_first_start(data: Path, tmp_path: Path) -> None:
    assert _run(MOVE, tmp_path).returncode == 0
    assert not (data / "prefect" / "prefect.db").exists()
    moved = data / "prefect" / "prefect.db.moved"
    assert moved.stat().st_mode & 0o077 == 0
    kept = {
        name: rows for name, rows in _rows_of_sqlite(moved).items() if name not in database_move.SKIPPED_TABLES and rows
    }
    assert {
        "block_document",
        "deployment",
        "flow_run",
        "flow_run_state",
        "log",
        "variable",
        "automation",
    } <= kept.keys()
    with prefect_database.connected(data) as connection:
        for name, rows in kept.items():
            found = {str(row[0]) for row in connection.execute(f'SELECT id FROM "{name}"'.encode())}
            assert rows <= found, name
        states = connection.execute(b"SELECT DISTINCT state_name FROM flow_run").fetchall()
    assert ("Collected",) in states
    rows: list[Any] = json.loads(run_python(READ, environment(tmp_path, free_port()), tmp_path).splitlines()[-1])
    token = rows.pop(3)
    assert token.startswith("eyJ")
    assert rows == [
        "kept by a person",
        "https://hooks.example.invalid/services/T/B/kept",
        {"a": [1, 2]},
        "made by an earlier version",
    ]


@pytest.mark.prefect
@pytest.mark.torture
def test_a_move_that_is_killed_is_done_again_from_the_start(data: Path, tmp_path: Path) -> None:
    before = (data / "prefect" / "prefect.db").exists()
    assert _run(KILLED, tmp_path).returncode == -9
    assert before
    assert (data / "prefect" / "prefect.db").exists(), "SQLite has it all until PostgreSQL has"
    wait_until(lambda: not (data / "prefect" / "postgresql-18" / "postmaster.pid").exists(), 60)
    assert prefect_database.execute(data, "SELECT count(*) FROM block_document") != [(0,)]
    assert not (data / "prefect" / "prefect.db").exists()


@pytest.mark.prefect
def test_a_file_that_someone_else_made_since_is_no_reason_to_move_again(data: Path, tmp_path: Path) -> None:
    (data / "prefect" / "prefect.db").unlink()
    make = "from deployments.prefect_api import database\nimport psycopg\nwith database.running():\n    "
    table = "CREATE TABLE block_document (id uuid); CREATE TABLE deployment (id uuid)"
    fill = "INSERT INTO block_document VALUES (gen_random_uuid())"
    code = (
        f"{make}c = psycopg.connect(database.psycopg_url(), autocommit=True); c.execute('{table}'); c.execute('{fill}')"
    )
    assert _run(code, tmp_path).returncode == 0
    with closing(sqlite3.connect(data / "prefect" / "prefect.db")) as stray:
        stray.execute("CREATE TABLE block_document (id TEXT)")
    assert prefect_database.execute(data, "SELECT count(*) FROM block_document") == [(1,)]
    assert (data / "prefect" / "prefect.db").exists()
