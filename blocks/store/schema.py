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
INCOMPLETE = "incomplete"
"""The version of a store that `restore` or `move` is filling."""
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


def view_names() -> tuple[str, ...]:
    """The views of the store."""
    return tuple(views.queries("sqlite"))


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
    if found == INCOMPLETE:
        raise StoreVersionError(
            "The store is not complete: `onepassword-source restore` or `move` was interrupted while it filled it.",
            hint="Run that command again: it continues. Until then, nothing is collected into this store.",
            code="store-incomplete",
        )
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if found is not None and found not in known:
        raise StoreVersionError(
            f"The store has schema version {found}, made by a newer onepassword-source; this one knows {HEAD}. "
            "Nothing was changed: all events are in the store, and the newer version continues with them.",
            hint="Install the newer version again, or point ONEPASSWORD_SOURCE_DATABASE_URL at another store.",
            code="store-version",
        )
    command.upgrade(config, to)
    if to == HEAD:
        views.replace(connection)
