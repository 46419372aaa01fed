"""The state of this installation: versions, sizes, disks, Prefect, and `up`."""

from __future__ import annotations

import os
import platform
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from blocks import settings
from blocks.errors import FirstPartyGenericError
from blocks.store import schema
from blocks.store.engine import sqlite_path
from deployments import deferred, up_health
from deployments.bounded_call import call_within
from deployments.disk_space import free_space

if TYPE_CHECKING:
    from deployments.prefect_api.server_state import ServerState
    from deployments.up_health import UpHealth

PREFECT_SECONDS = 4.0
PACKAGES = ("onepassword-source", "prefect", "sqlalchemy", "httpx", "pydantic", "starlette")


@dataclass(frozen=True, slots=True)
class PrefectState:
    """Prefect's server and workers; `problem` if it did not answer, or none is configured."""

    server: ServerState | None
    problem: str = ""

    @property
    def online(self) -> int:
        """Workers that are online."""
        return sum(one.online for one in self.server.workers) if self.server else 0


def versions() -> list[tuple[str, str]]:
    """The name and version of each program, of this one first."""
    found = [(name, _version(name)) for name in PACKAGES]
    return [*found, ("Python", platform.python_version()), ("schema of the store", schema.HEAD)]


def log_files() -> list[tuple[str, int]]:
    """The name and size in bytes of each log file in the data directory."""
    try:
        found = sorted([*settings.data_dir().glob("*.log"), *settings.data_dir().glob("*.log.1")])
        return [(one.name, one.stat().st_size) for one in found]
    except OSError:
        return []


def disks() -> list[tuple[str, int]]:
    """The free bytes of each disk that the store, the data directory or this program is on."""
    path = sqlite_path(settings.database_url())
    places = [*([Path(path).absolute().parent] if path else []), settings.data_dir(), Path(sys.prefix)]
    return [(str(place), free) for place, free in free_space(places)]


def prefect_state(*, configured: bool) -> PrefectState:
    """Bounded in time. `configured`: there is a Prefect API."""
    if not (configured and os.environ.get("PREFECT_API_URL")):  # without a URL, Prefect's client starts a server
        return PrefectState(None, "No Prefect API is configured here, so this console only reads.")
    try:
        return PrefectState(call_within(PREFECT_SECONDS, lambda: deferred.server_state.read_state()))  # noqa: PLW0108 - imported in the thread
    except TimeoutError:
        return PrefectState(None, f"The Prefect API did not answer within {PREFECT_SECONDS:.0f} s.")
    except FirstPartyGenericError as error:
        return PrefectState(None, str(error))


def up_state() -> UpHealth | None:
    """The last check of `up` with this data directory; None if none runs."""
    found = up_health.read(up_health.path())
    return found if found is not None and found.is_fresh else None


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"
