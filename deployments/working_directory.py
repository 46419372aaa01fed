"""Prefect works in an empty directory of ours, never in the one that a person happens to be in.

Prefect imports code of the working directory: to load a flow, it puts that directory first on `sys.path`. It reads its
settings there too (`.env`, `prefect.toml`, `pyproject.toml`), and with them the address that our password is sent to,
and a logging configuration, which can call any function. Both follow from `os.getcwd()` alone. So each process leaves
the directory before it imports Prefect (`server_access.activate`), and its children never see it.
Nothing here imports Prefect.
"""

from __future__ import annotations

import os
from pathlib import Path

from blocks import settings

FILE_VARIABLES = (
    settings.PREFIX + "DATA_DIR",
    "PREFECT_API_SSL_CERT_FILE",
    "PREFECT_API_TLS_CERT_FILE",
    "PREFECT_HOME",
    "PREFECT_LOGGING_CONFIG_PATH",
    "PREFECT_LOGGING_SETTINGS_PATH",
    "PREFECT_PROFILES_PATH",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
)
"""Variables of the environment that name a file or a directory: one that is relative must go on naming the same."""
DATABASE_URL = settings.PREFIX + "DATABASE_URL"


def empty_directory() -> Path:
    """A directory with nothing in it, which only this user can fill. Made with mode 0700 if it is missing."""
    path = settings.data_dir() / "empty"
    path.mkdir(mode=0o700, exist_ok=True)
    return path


def leave() -> None:
    """Work in the empty directory from now on. What the environment names stays where it is."""
    os.environ.update(_absolute(dict(os.environ)))
    os.chdir(empty_directory())


def _absolute(environment: dict[str, str]) -> dict[str, str]:
    made = {
        name: str(Path(environment[name]).expanduser().absolute()) for name in FILE_VARIABLES if environment.get(name)
    }
    dialect, _, path = environment.get(DATABASE_URL, "").partition(":///")
    if dialect.startswith("sqlite") and path and not path.startswith((":memory:", "file:")):
        made[DATABASE_URL] = f"{dialect}:///{Path(path).absolute()}"
    return made
