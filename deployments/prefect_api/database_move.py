"""Moves the data of Prefect's SQLite file, which earlier versions used, to the embedded PostgreSQL: once, as a whole.

Prefect's own command brings both databases to its newest schema. Then the rows are copied in one transaction. The types
of the columns come from PostgreSQL, so this module names only the tables that it skips.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
from datetime import datetime
from typing import TYPE_CHECKING, Any

from blocks import python_process
from blocks.errors import FirstPartyGenericError
from deployments import working_directory
from deployments.prefect_api import file_lock
from deployments.prefect_api.local_files import prefect_database, prefect_home
from deployments.rotating_log import last_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import psycopg

SKIPPED_TABLES = {"alembic_version", "events", "event_resources", "automation_bucket", "automation_event_follower"}
"""Prefect's events, which it keeps for two days, and the counts that its automations derive from them."""
ROWS = 1000
URL_SETTING = "PREFECT_SERVER_DATABASE_CONNECTION_URL"
COLUMNS = """
SELECT table_name, column_name, udt_name FROM information_schema.columns
WHERE table_schema = 'public' AND is_generated = 'NEVER' ORDER BY table_name, ordinal_position
"""


def move(environment: Mapping[str, str], psycopg_url: str) -> None:
    """Copy all rows of the SQLite file, and rename the file to `prefect.db.moved`.

    Raises FirstPartyGenericError, with nothing changed, if Prefect's own upgrade of either database fails.
    """
    with file_lock.hold(prefect_home() / "database-move.lock"):
        old = prefect_database()
        if not old.exists() or _target_has_data(psycopg_url):
            return
        _upgrade(f"sqlite+aiosqlite:///{old}")
        _upgrade(environment[URL_SETTING])
        _copy(old, psycopg_url)
        old.replace(old.with_name("prefect.db.moved"))
        for rest in ("-wal", "-shm"):
            old.with_name(old.name + rest).unlink(missing_ok=True)


def _target_has_data(psycopg_url: str) -> bool:
    """True if PostgreSQL holds data already. Then the SQLite file is not an old database that waits to be moved."""
    import psycopg  # noqa: PLC0415 - only if there may be something to move

    with psycopg.connect(psycopg_url) as target:
        made = target.execute("SELECT to_regclass('block_document') IS NOT NULL").fetchone()
        if made is None or not made[0]:
            return False
        used = target.execute("SELECT EXISTS (SELECT FROM block_document UNION ALL SELECT FROM deployment)").fetchone()
        return used is not None and bool(used[0])


def _upgrade(url: str) -> None:
    done = subprocess.run(
        python_process.command("prefect", "server", "database", "upgrade", "--yes"),
        env={**os.environ, "PREFECT_HOME": str(prefect_home()), URL_SETTING: url},
        cwd=working_directory.empty_directory(),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = last_line(done.stderr) or "no message"
        raise FirstPartyGenericError(
            f"Prefect could not bring its database to the newest form: {said} Nothing was moved.",
            hint=f"Keep {prefect_database()}: your sources' tokens are in it. Please report this.",
            code="prefect-database",
        )


def _copy(old: Path, psycopg_url: str) -> None:
    import psycopg  # noqa: PLC0415 - as above

    with (
        contextlib.closing(sqlite3.connect(old)) as source,
        psycopg.connect(psycopg_url) as target,
    ):
        # Rows refer to each other in circles (a run to its state, a state to its run).
        target.execute("SET session_replication_role = replica")
        target.execute("SET timezone = 'UTC'")
        types = _types(target)
        for table in types:
            target.execute(f'TRUNCATE "{table}" CASCADE'.encode())
        for table, columns in types.items():
            _copy_table(source, target, table, columns)


def _types(target: psycopg.Connection[Any]) -> dict[str, dict[str, str]]:
    types: dict[str, dict[str, str]] = {}
    for table, column, kind in target.execute(COLUMNS):
        if table not in SKIPPED_TABLES:
            types.setdefault(table, {})[column] = kind
    return types


def _copy_table(
    source: sqlite3.Connection, target: psycopg.Connection[Any], table: str, columns: dict[str, str]
) -> None:
    there = {row[1] for row in source.execute(f'PRAGMA table_info("{table}")')}
    shared = {name: kind for name, kind in columns.items() if name in there}
    if not shared:
        return
    names = ", ".join(f'"{name}"' for name in shared)
    converters = [_CONVERTERS.get(kind, _as_it_is) for kind in shared.values()]
    rows = source.execute(f'SELECT {names} FROM "{table}"')  # noqa: S608 - names of the schema
    with target.cursor().copy(f'COPY "{table}" ({names}) FROM STDIN'.encode()) as copy:
        while part := rows.fetchmany(ROWS):
            for row in part:
                copy.write_row([convert(value) for convert, value in zip(converters, row, strict=True)])


def _as_it_is(value: Any) -> Any:
    return value


def _boolean(value: Any) -> Any:
    return None if value is None else bool(value)


def _interval(value: Any) -> Any:
    """SQLAlchemy stores an interval in SQLite as a datetime that is this long after 1970-01-01."""
    return None if value is None else datetime.fromisoformat(value) - datetime(1970, 1, 1)  # noqa: DTZ001 - both plain


_CONVERTERS: dict[str, Callable[[Any], Any]] = {"bool": _boolean, "interval": _interval}
