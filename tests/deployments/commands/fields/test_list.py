"""The command `fields list`: no store and no Prefect are made for it."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from deployments import cli

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEPASSWORD_SOURCE_DATABASE_URL", f"sqlite:///{tmp_path / 'events.db'}")


def test_listing_without_a_store_is_an_error_and_creates_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["fields", "list"]) == cli.WRONG_USE
    assert "There is no store yet" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.processes
def test_listing_imports_no_prefect(tmp_path: Path) -> None:
    code = (
        "import sys; from deployments import cli; cli.main(['fields', 'add', 'x']); cli.main(['fields', 'list']);"
        "cli.main(['prune', '--older-than', '400d', '--dry-run']);"
        "sys.exit(any(name.partition('.')[0] == 'prefect' for name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
