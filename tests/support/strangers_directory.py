"""Another user's directory with files that record each process which imports or reads settings from it.

For each module that a program could import, the directory has one that records its name and raises; Prefect's settings
files name another server. An audit hook, from a `sitecustomize` of the test, also records in each Python process of the
program under test what it opens or lists there.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from importlib.metadata import packages_distributions
from pathlib import Path

OUR_OWN = ("blocks", "tasks", "flows", "deployments")
PACKAGES = (*OUR_OWN, "sqlmodel", "prefect")
WRONG = "http://127.0.0.1:9/api"
SETTINGS = {
    ".env": f"PREFECT_API_URL={WRONG}\nPREFECT_API_AUTH_STRING=their:own\nPREFECT_PROFILES_PATH=profiles.toml\n",
    "prefect.toml": f'[api]\nurl = "{WRONG}"\nauth_string = "their:own"\n[logging]\nconfig_path = "logging.yml"\n',
    "pyproject.toml": f'[tool.prefect.api]\nurl = "{WRONG}"\n[tool.prefect.logging]\nconfig_path = "logging.yml"\n',
    "profiles.toml": f'active = "theirs"\n[profiles.theirs]\nPREFECT_API_URL = "{WRONG}"\n',
    "prefect.yaml": "deployments: [{name: theirs, entrypoint: 'flows.py:collect'}]\n",
    "alembic.ini": "[alembic]\nscript_location = .\n",
    ".netrc": "default login stranger password theirs\n",
}
LOGGING = "version: 1\nformatters: {{theirs: {{'()': os.mkdir, path: '{mark}'}}}}\n"
TRAP = """
with open({mark!r}, "a") as file:
    file.write(__name__ + "\\n")
raise ImportError("imported from another user's directory")
"""
AUDIT = """
import os, sys
THEIRS, LOG, ALLOWED = {theirs!r}, {log!r}, {allowed!r}
def note(event, arguments):
    if event not in ("open", "os.listdir", "os.scandir"):
        return
    path = "." if arguments[0] is None else arguments[0]
    if not isinstance(path, (str, bytes)):
        return
    try:
        full = os.path.abspath(os.fsdecode(path))
    except OSError:
        return
    if (full + "/").startswith(THEIRS + "/") and not full.startswith(ALLOWED):
        descriptor = os.open(LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.write(descriptor, f"{{event}} {{full}} by {{' '.join(sys.orig_argv[:6])}}\\n".encode())
        os.close(descriptor)
sys.addaudithook(note)
"""


@dataclass(frozen=True)
class StrangersDirectory:
    path: Path
    site: Path
    """The directory for PYTHONPATH with the `sitecustomize` that records what a process opens."""

    @property
    def imported(self) -> list[str]:
        """The modules that were imported from the directory, and anything else that was executed."""
        mark = self.site / "imported"
        return [str(mark)] if mark.is_dir() else _lines(mark)

    @property
    def opened(self) -> list[str]:
        """The files that were opened, and the directories that were listed."""
        return _lines(self.site / "opened")


def make(path: Path, site: Path, *allowed: str) -> StrangersDirectory:
    """Create the directory. `allowed`: files that commands may open, since their arguments name them."""
    path.mkdir()
    site.mkdir()
    mark = str(site / "imported")
    trap = TRAP.format(mark=mark)
    for name in _modules():
        (path / f"{name}.py").write_text(trap)
    for name in PACKAGES:
        (path / name).mkdir()
        (path / name / "__init__.py").write_text(trap)
    for name, text in SETTINGS.items():
        (path / name).write_text(text)
    (path / "logging.yml").write_text(LOGGING.format(mark=mark))
    may = tuple(str(path / name) for name in allowed)
    log = str(site / "opened")
    (site / "sitecustomize.py").write_text(AUDIT.format(theirs=str(path), log=log, allowed=may))
    return StrangersDirectory(path, site)


def _modules() -> set[str]:
    names = {*sys.stdlib_module_names, *packages_distributions(), "sitecustomize", "usercustomize", "stand_in"}
    return {name for name in names if name.isidentifier() and not name.startswith("__")} - set(PACKAGES) | set(OUR_OWN)


def _lines(path: Path) -> list[str]:
    return sorted(set(path.read_text().splitlines())) if path.exists() else []
