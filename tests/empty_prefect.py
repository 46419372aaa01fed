"""An empty, migrated Prefect database to start from: the migrations take seven seconds of each new home."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

CACHE = Path(__file__).parent.parent / ".pytest_cache"


def put_into(data: Path) -> None:
    """Make `data` a data directory whose Prefect has no blocks yet; one that there is stays as it is."""
    database = data / "prefect" / "prefect.db"
    if database.exists():
        return
    make = "from deployments.own_secrets import load_secrets, prefect_home; load_secrets(); prefect_home()"
    environment = {**os.environ, "ONEPASSWORD_SOURCE_DATA_DIR": str(data)}
    subprocess.run([sys.executable, "-c", make], env=environment, check=True)
    shutil.copyfile(_database(), database)
    database.chmod(0o600)


def _database() -> Path:
    kept = CACHE / f"prefect-{version('prefect')}.db"
    if kept.exists():
        return kept
    CACHE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as home:
        bare = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
        upgrade = [sys.executable, "-m", "prefect", "server", "database", "upgrade", "--yes"]
        subprocess.run(upgrade, env={**bare, "PREFECT_HOME": home}, check=True, capture_output=True)
        (Path(home) / "prefect.db").replace(kept)
    return kept
