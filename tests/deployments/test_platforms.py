"""Platforms without Unix's modules, as Windows: simulated by imports that fail as they do there."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from deployments.entry_point import UNIX_MODULES
from deployments.exit_codes import WRONG_USE

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.processes

WITHOUT = f"""
import importlib.abc, platform, sys
class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name in {UNIX_MODULES!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Missing())
for name in {UNIX_MODULES!r}:
    sys.modules.pop(name, None)
platform.system = lambda: "Windows"
from deployments import cli
sys.exit(cli.main(sys.argv[1:]))
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


def call(data: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "ONEPASSWORD_SOURCE_DATA_DIR": str(data)}
    command = [sys.executable, "-P", "-c", WITHOUT, *arguments]
    return subprocess.run(command, env=environment, cwd=data.parent, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "arguments",
    [["apply", "-"], ["collect", "1Pass"], ["up"], ["console"], ["demo"], ["siem", "test", "soc"], ["prune"]],
    ids=" ".join,
)
def test_a_command_that_cannot_work_says_so_and_changes_nothing(data: Path, arguments: list[str]) -> None:
    done = call(data, *arguments)
    assert done.returncode == WRONG_USE
    assert done.stdout == ""
    assert done.stderr.startswith("onepassword-source: This command does not work on Windows: it needs Linux or macOS.")
    assert "Nothing was changed, and no event is affected." in done.stderr
    assert "WSL 2" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not data.exists()


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["actions", "vault"]], ids=" ".join)
def test_what_needs_no_store_works(data: Path, arguments: list[str]) -> None:
    done = call(data, *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout
