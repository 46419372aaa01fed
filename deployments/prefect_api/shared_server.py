"""The environment of a Prefect server alone, which the workers of several machines share. Nothing here imports Prefect.

The server of `up` makes its own secrets and database. This one gets both from outside, because they belong to all
machines.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from blocks.errors import ThirdPartyConfigError
from deployments import working_directory
from deployments.prefect_api import server_access

if TYPE_CHECKING:
    from deployments.prefect_api.server_access import ListenAddress

AUTH, KEY = "PREFECT_SERVER_API_AUTH_STRING", "PREFECT_SERVER_ENCRYPTION_KEY"
DATABASE = "PREFECT_SERVER_DATABASE_CONNECTION_URL"
REQUIRED = {
    AUTH: "the API's user:password",
    KEY: "the key that encrypts tokens in the database",
    DATABASE: "Prefect's database: postgresql+asyncpg://…",
}
LATER = {
    # Prefect gives up on a query after ten seconds and on a connection after five. A busy database takes longer.
    "PREFECT_SERVER_DATABASE_TIMEOUT": "60",
    "PREFECT_SERVER_DATABASE_CONNECTION_TIMEOUT": "30",
}


def activate(at: ListenAddress) -> None:
    """Make this process the server. Call it before Prefect is imported.

    Raises ThirdPartyConfigError if a secret or the database is missing: a server without them would be open to
    everyone, or keep the key beside what it encrypts.
    """
    working_directory.leave()
    missing = [f"{name} ({meaning})" for name, meaning in REQUIRED.items() if not os.environ.get(name)]
    if missing:
        raise ThirdPartyConfigError(
            f"Not set: {', '.join(missing)}. The server was not started.",
            hint="Set each, or name a file that holds it with _FILE at the end of the variable. For one machine, "
            "`onepassword-source up` needs none of them.",
            code="setting",
        )
    os.environ.pop("PREFECT_API_URL", None)  # that of the workers, if they share this environment
    os.environ.update(server_access.server_environment(at.origins))
    os.environ["PREFECT_SERVER_API_HOST"] = at.host
    os.environ["PREFECT_API_AUTH_STRING"] = os.environ[AUTH]
    for name, value in LATER.items():
        os.environ.setdefault(name, value)


def tls_files(certificate: Path | None, key: Path | None) -> tuple[str, str] | None:
    """The files as absolute paths; None if there are none. Raises ThirdPartyConfigError if one is missing."""
    if certificate is None and key is None:
        return None
    for flag, path in (("--tls-certificate", certificate), ("--tls-key", key)):
        if path is None or not os.access(path, os.R_OK):
            raise ThirdPartyConfigError(
                f"{flag} names no file that can be read." if path else f"{flag} is missing.",
                hint="Give both --tls-certificate and --tls-key.",
                code="setting",
            )
    return str(Path(certificate or "").absolute()), str(Path(key or "").absolute())


def prefect_database_url() -> str | None:
    """The database that is set for a shared Prefect server, or None."""
    return os.environ.get(DATABASE) or None
