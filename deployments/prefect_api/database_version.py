"""Whether the installed Prefect knows the form of this machine's Prefect database. Nothing here imports Prefect.

Prefect's server fails with a traceback of Alembic if a newer Prefect has upgraded the database.
"""

from __future__ import annotations

import re
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from blocks.errors import StoreVersionError

MIGRATIONS = Path("server", "database", "_migrations", "versions", "postgresql")
_REVISION = re.compile(r"""^revision(?:: str)? = ["'](\w+)["']""", re.MULTILINE)


def require_known(psycopg_url: str) -> None:
    """Raises StoreVersionError if a newer Prefect has upgraded the database."""
    found = _version(psycopg_url)
    if found is not None and not is_known(found):
        raise StoreVersionError(
            f"The Prefect server's database has the form {found}, made by a newer Prefect: Prefect "
            f"{version('prefect')} does not know it. Nothing was changed. No event is affected: events are in another "
            "database.",
            hint="Install the newer version of this program again. A downgrade is possible only by restoring a backup "
            'that the older version made: see the page "Upgrade" of the documentation.',
            code="prefect-version",
        )


def is_known(revision: str) -> bool:
    """True if the installed Prefect has a migration to this revision, or keeps its migrations in another place."""
    found = find_spec("prefect")
    if found is None or found.origin is None:
        return True
    files = list((Path(found.origin).parent / MIGRATIONS).glob("*.py"))
    # Most names hold the revision, which saves reading them all.
    return not files or any(revision in file.name for file in files) or revision in _revisions(files)


def _revisions(files: list[Path]) -> set[str]:
    matches = (_REVISION.search(file.read_text(encoding="utf-8")) for file in files)
    return {match[1] for match in matches if match}


def _version(psycopg_url: str) -> str | None:
    import psycopg  # noqa: PLC0415 - 0.1 s, only where the database is used

    with psycopg.connect(psycopg_url) as connection:
        made = connection.execute("SELECT to_regclass('alembic_version') IS NOT NULL").fetchone()
        if made is None or not made[0]:
            return None
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        return None if row is None else str(row[0])
