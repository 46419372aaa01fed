"""What the ways of installing share: a new machine, the wheel, and the table. Each test here is one way.

`make test-install` runs them. A way that this machine cannot run is skipped with the reason: `pytest.skip(…)`. The
fixture `record_property("where", …)` names where a test ran, if that is not this machine.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from install.engine import base, engine, image  # noqa: F401 - fixtures
from install.machine import Machine
from install.table import HERE, pytest_terminal_summary  # noqa: F401 - a hook
from support import installed_wheel
from support.paths import ROOT

if TYPE_CHECKING:
    from pathlib import Path


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test of this folder is a way of installing."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker("install")


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is downloaded, for all tests of one call."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def machine(tmp_path: Path, cache: Path) -> Machine:
    """A machine on which nothing of this project is."""
    return Machine.make(tmp_path, cache)


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""
    return installed_wheel.build(tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="session")
def constraints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a release with the versions that it was tested with."""
    file = tmp_path_factory.mktemp("release") / "constraints.txt"
    command = [sys.executable, ROOT / ".ci" / "constraints.py", ROOT / "requirements.lock"]
    file.write_bytes(subprocess.run(command, check=True, capture_output=True).stdout)
    return file


@pytest.fixture
def clone(machine: Machine) -> Path:
    """A fresh clone of this checkout's last commit."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("there is no git repository to clone")
    path = machine.home / "clone"
    subprocess.run(["git", "clone", "--quiet", ROOT, path], check=True, env={**os.environ, "HOME": str(machine.home)})
    return path
