"""`onepassword-source migrate`: bring the databases of several machines to this version, before they start."""

from __future__ import annotations

import os
import subprocess

from blocks import python_process, settings
from blocks.errors import FirstPartyGenericError
from blocks.store import schema
from blocks.store.engine import open_engine
from deployments import working_directory
from deployments.prefect_api import shared_server
from deployments.terminal_output import print_line, printable

DETAILS = """\
Every command upgrades the store when it opens it, and a server its own database. This command does both at a moment of
your choice, and its exit code says whether it worked. Prefect's database is upgraded if
PREFECT_SERVER_DATABASE_CONNECTION_URL is set. A schema that a newer version made is an error.
"""


def command() -> None:
    """Create or upgrade the schema of the store, and of Prefect's database if its URL is set.

    Every command upgrades the store when it opens it, and a server its database. This command does both at a moment of
    your choice, and its exit code says whether it worked.
    """
    working_directory.leave()
    engine = open_engine(settings.database_url())
    try:
        before = schema.version(engine)
        schema.upgrade(engine)
    finally:
        engine.dispose()
    print_line(f"The store has schema version {schema.HEAD} ({_change(before)}).")
    if shared_server.prefect_database_url() is None:
        print_line(f"Prefect's database was left alone: {shared_server.DATABASE} is not set.")
        return
    _upgrade_prefect()
    print_line("Prefect's database has the schema of this version.")


def _change(before: str | None) -> str:
    if before is None:
        return "created"
    return "unchanged" if before == schema.HEAD else f"it was {before}"


def _upgrade_prefect() -> None:
    command = python_process.command("prefect", "server", "database", "upgrade", "--yes")
    done = subprocess.run(command, env=_server_environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no message"]
        raise FirstPartyGenericError(
            f"Prefect's database could not be upgraded: {printable(lines[-1])}. Sources and events are in the store, "
            "which is not affected.",
            hint=f"Check {shared_server.DATABASE} and that the database answers; then run "
            "`onepassword-source migrate` again.",
            code="prefect-database",
        )


def _server_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "PREFECT_API_URL"}
