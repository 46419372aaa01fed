"""The embedded PostgreSQL: there while it is used, and no longer; and whatever is killed, it comes back."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import psycopg
import pytest
from support.one_machine import lives, wait_until

from blocks.errors import FirstPartyGenericError
from deployments.prefect_api import database, file_lock, postgresql

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.processes

USE = """
import sys
from deployments.prefect_api import database
with database.running():
    sys.stdout.write("ready\\n")
    sys.stdout.flush()
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for name in [name for name in os.environ if name.startswith(("PREFECT", "ONEPASSWORD_SOURCE_"))]:
        monkeypatch.delenv(name)
    directory = tmp_path / "it's here"
    monkeypatch.setenv("ONEPASSWORD_SOURCE_DATA_DIR", str(directory))
    yield directory
    wait_until(lambda: database.cluster().pid() is None, 60)


@pytest.fixture
def user() -> Iterator[subprocess.Popen[str]]:
    """Another process that uses the database until it is killed, or its standard input ends."""
    with _user() as process:
        yield process
        process.kill()


def _user() -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", USE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def _supervisor() -> psutil.Process:
    """The process that has the supervisor's lock. There is never a second one, not even while the first one starts."""
    (found,) = wait_until(_find_supervisors, 60)
    assert isinstance(found, psutil.Process)
    return found


def _find_supervisors() -> list[psutil.Process]:
    lock = (database.prefect_home() / "database.lock").stat().st_ino
    found = []
    for process in psutil.process_iter(["cmdline"]):
        if "deployments.prefect_api.database" in (process.info["cmdline"] or ()):
            with suppress(OSError):
                if lock in {path.stat().st_ino for path in Path(f"/proc/{process.pid}/fd").iterdir() if path.exists()}:
                    found.append(process)
    return found


def _answer() -> int:
    with psycopg.connect(database.psycopg_url()) as connection:
        row = connection.execute("SELECT 42").fetchone()
        assert row
        return int(row[0])


def test_it_runs_while_it_is_used_and_ends_with_its_last_user(user: subprocess.Popen[str]) -> None:
    with database.running():
        assert _answer() == 42
        user.kill()
        time.sleep(2 * database.POLL_SECONDS)
        assert _answer() == 42, "one user is left"
    wait_until(lambda: database.cluster().pid() is None, 60)
    database.wait_until_stopped()
    assert file_lock.is_free(database.prefect_home() / "database.lock")


def test_who_comes_while_it_stops_gets_another() -> None:
    for _ in range(4):
        with database.running():
            assert _answer() == 42


def test_many_at_once_share_one() -> None:
    users = [
        subprocess.Popen([sys.executable, "-c", USE], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        for _ in range(4)
    ]
    assert [user.communicate(timeout=120)[0] for user in users] == [b"ready\n"] * 4


def test_no_other_user_of_the_machine_reaches_it(data: Path) -> None:
    with database.running():
        cluster = database.cluster()
        assert stat.S_IMODE(cluster.data.stat().st_mode) == 0o700
        assert stat.S_IMODE(cluster.sockets.stat().st_mode) == 0o700
        pid = cluster.pid()
        assert pid
        assert [c for c in psutil.Process(pid).net_connections("inet") if c.status == psutil.CONN_LISTEN] == []
        open_files = [path for path in (data / "prefect").rglob("*") if path.is_file() and path.stat().st_mode & 0o077]
        assert open_files == []


def test_a_killed_server_is_started_again_and_keeps_what_was_committed(user: subprocess.Popen[str]) -> None:
    with psycopg.connect(database.psycopg_url(), autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS value")
    before = database.cluster().pid()
    assert before
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: database.cluster().pid() not in (None, before) and database.is_ready(), 60)
    with psycopg.connect(database.psycopg_url()) as connection:
        assert connection.execute("SELECT value FROM kept").fetchall() == [(42,)]
    assert user.poll() is None
    assert "PostgreSQL ended; it restarts in 1 s." in database.log_path().read_text()


def test_a_killed_supervisor_is_replaced_and_the_server_goes_on(user: subprocess.Popen[str]) -> None:
    server = database.cluster().pid()
    first = _supervisor()
    first.kill()
    # A killed process holds its locks a moment longer than it lives: until its last thread has ended.
    wait_until(lambda: file_lock.is_free(database.prefect_home() / "database.lock"), 30)
    with database.running():
        assert database.cluster().pid() == server, "the very same"
        assert _supervisor().pid != first.pid
        assert _answer() == 42
        user.kill()
        user.wait()


def test_a_killed_supervisor_leaves_no_zombie_to_the_process_that_started_it() -> None:
    with database.running():
        first = _supervisor()
        assert first.ppid() == os.getpid()
        first.kill()
        wait_until(database.ensure_supervisor, 60)
        assert not psutil.pid_exists(first.pid)
        _supervisor()


def test_a_user_that_is_killed_leaves_nothing_running(user: subprocess.Popen[str]) -> None:
    supervisor = _supervisor()
    user.kill()
    user.wait()
    wait_until(lambda: not lives(supervisor) and database.cluster().pid() is None, 60)


def test_data_that_is_removed_under_it_leaves_no_server_behind(user: subprocess.Popen[str], data: Path) -> None:
    pid = database.cluster().pid()
    assert pid
    server = psutil.Process(pid)
    shutil.rmtree(data)
    user.kill()
    user.wait()
    wait_until(lambda: not lives(server), 40)  # by itself PostgreSQL looks after its files once a minute


def test_data_of_another_major_version_is_an_error_and_not_touched() -> None:
    with database.running():
        pass
    database.wait_until_stopped()
    version = database.cluster().data / "PG_VERSION"
    version.write_text("19\n")
    with pytest.raises(FirstPartyGenericError, match="is of PostgreSQL 19, but this version uses PostgreSQL 18"):
        database.cluster().require_version()
    with pytest.raises(FirstPartyGenericError, match=r"The Prefect server's database did not start: .*PostgreSQL 19"):
        database.running().__enter__()
    assert version.read_text() == "19\n"
    version.write_text("18\n")
    with database.running():
        assert _answer() == 42


def test_where_it_does_not_run_sqlite_does_and_a_person_is_warned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgresql, "_programs", lambda: None)
    assert not database.is_embedded()
    assert database.environment() == {}
    assert "uses SQLite, since there is no embedded PostgreSQL for this platform" in (database.warning() or "")


def test_data_that_is_there_is_never_left_for_an_empty_database(monkeypatch: pytest.MonkeyPatch) -> None:
    with database.running():
        pass
    database.wait_until_stopped()
    monkeypatch.setattr(postgresql, "_programs", lambda: None)
    with pytest.raises(FirstPartyGenericError, match="cannot be started: there is no embedded PostgreSQL"):
        database.is_embedded()


def test_a_database_that_the_user_names_is_used_as_it_is(monkeypatch: pytest.MonkeyPatch, data: Path) -> None:
    monkeypatch.setenv("PREFECT_API_DATABASE_CONNECTION_URL", "postgresql+asyncpg://prefect@db/prefect")
    with database.running():
        assert database.environment() == {}
        assert database.warning() is None
    assert not list((data / "prefect").glob("postgresql*"))


def test_a_full_path_is_too_long_for_a_socket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ONEPASSWORD_SOURCE_DATA_DIR", str(tmp_path / ("deep/" * 30)))
    with database.running():
        assert _answer() == 42
        assert len(str(database.cluster().sockets)) < postgresql.SOCKET_PATH_MAX
    wait_until(lambda: database.cluster().pid() is None, 60)


def test_a_socket_directory_of_another_user_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sockets").symlink_to(tmp_path)
    with pytest.raises(FirstPartyGenericError, match="belongs to another user"):
        postgresql._private_directory(tmp_path / "sockets")
