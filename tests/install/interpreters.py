"""The Pythons of this machine, by version: those on PATH, and pyenv's."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from install.machine import OWN_BIN

if TYPE_CHECKING:
    from collections.abc import Iterator

SUPPORTED = ("3.11", "3.12", "3.13", "3.14")


@cache
def interpreter(version: str) -> Path | None:
    """An interpreter of this version that works, outside of this environment; None if there is none."""
    return next((path for path in _candidates(version) if _version(path) == version), None)


def require(version: str) -> Path:
    """The same, or the test is skipped."""
    found = interpreter(version)
    if found is None:
        pytest.skip(f"no Python {version} on this machine, neither on PATH nor of pyenv")
    return found


def newest() -> Path:
    return next(found for version in reversed(SUPPORTED) if (found := interpreter(version)))


def _candidates(version: str) -> Iterator[Path]:
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    yield from sorted(root.glob(f"versions/{version}.*/bin/python{version}"), reverse=True)
    path = os.pathsep.join(part for part in os.environ["PATH"].split(os.pathsep) if Path(part) != OWN_BIN)
    if found := shutil.which(f"python{version}", path=path):
        yield Path(found)


def _version(path: Path) -> str:
    code = "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2])"
    done = subprocess.run([path, "-I", "-c", code], capture_output=True, text=True, check=False)
    return done.stdout.strip()
