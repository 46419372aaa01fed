"""Prefect works in an empty directory of ours, never in the directory in which a command was started.

Prefect imports code from the working directory: to load a flow, it puts that directory first on `sys.path`. It also
reads settings there (`.env`, `prefect.toml`, `pyproject.toml`), including the address that our password is sent to, and
a logging configuration, which can call any function. Both depend only on `os.getcwd()`. So each process leaves the
directory before it imports Prefect (`server_access.activate`), and its children never see it. Nothing here imports
Prefect.
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
"""Variables that name a file or a directory. A relative one must still name the same file after the change."""
DATABASE_URL = settings.PREFIX + "DATABASE_URL"


def empty_directory() -> Path:
    """An empty directory that only this user can fill. It is created with mode 0700."""
    path = settings.data_dir() / "empty"
    path.mkdir(mode=0o700, exist_ok=True)
    return path


def leave() -> None:
    """Change to the empty directory. Relative paths in the environment become absolute first."""
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
