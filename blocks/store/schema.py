"""The store's schema version: upgraded automatically; a version newer than this program is an error."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import inspect, text

from blocks.errors import StoreVersionError
from blocks.store import schema_version, views
from blocks.store.engine import is_sqlite, reading, store_errors

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

HEAD = schema_version.HEAD
_LOCK = 0x31506173735352  # PostgreSQL's advisory lock for migrations


def upgrade(engine: Engine, *, to: str = HEAD) -> None:
    """Bring the store to the newest version; several processes may do so at once.

    Raises StoreVersionError if a newer program made it.
    """
    with store_errors():
        if version(engine) == to:
            return
        with engine.begin() as connection:
            if not is_sqlite(engine):
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
            found = _version(connection)  # read it again: another process may have upgraded it meanwhile
            if found != to:
                _migrate(connection, found, to)


def version(engine: Engine) -> str | None:
    """The schema version of the store; None if there is no schema yet."""
    with store_errors(), reading(engine).connect() as connection:
        return _version(connection)


def _version(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _migrate(connection: Connection, found: str | None, to: str) -> None:
    from alembic import command  # noqa: PLC0415 - slow, and seldom needed
    from alembic.config import Config  # noqa: PLC0415
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if found is not None and found not in known:
        raise StoreVersionError(
            f"The store has schema version {found}, made by a newer onepassword-source; this one knows {HEAD}.",
            hint="Install the newer version again, or point ONEPASSWORD_SOURCE_DATABASE_URL at another store.",
            code="store-version",
        )
    command.upgrade(config, to)
    if to == HEAD:
        views.replace(connection)
