"""The command `demo`: an empty store in a directory of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from support.terminal import without_announcements

if TYPE_CHECKING:
    from pathlib import Path

COMMAND = [sys.executable, "-m", "deployments.cli"]


@pytest.mark.prefect
def test_demo_starts_with_an_empty_store_in_its_own_directory(tmp_path: Path) -> None:
    (tmp_path / ".demo").mkdir()
    (tmp_path / ".demo" / "events.db").write_bytes(b"left by a demo that was interrupted")
    (tmp_path / ".demo" / "source.json").write_text("{}")
    env = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")},
        "COLUMNS": "80",
        "HOME": str(tmp_path / "home"),
        "ONEPASSWORD_SOURCE_DATA_DIR": str(tmp_path / "mine"),
        "ONEPASSWORD_SOURCE_DATABASE_URL": f"sqlite:///{tmp_path / 'mine.db'}",
        "PREFECT_API_URL": "http://127.0.0.1:9/api",
    }
    done = subprocess.run([*COMMAND, "demo"], cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, without_announcements(done.stderr)) == (0, [])
    assert os.listdir(tmp_path) == [".demo"]  # noqa: PTH208
    assert "Collected: 3,000 new events (sign-in 1,000, itemUsage 1,000, audit 1,000)" in done.stdout
    shown, _, next_steps = done.stdout.partition("What next\n")
    assert len(shown.partition(" CC\n")[2].splitlines()) == 9  # eight events and an empty line
    assert not [line for line in next_steps.splitlines() if len(line) > 80]
    env["ONEPASSWORD_SOURCE_DATA_DIR"] = ".demo"
    del env["ONEPASSWORD_SOURCE_DATABASE_URL"]
    assert "ONEPASSWORD_SOURCE_DATA_DIR=.demo \\\n    onepassword-source events demo --format ndjson" in next_steps
    command = [*COMMAND, "events", "demo", "--format", "ndjson"]
    assert len(subprocess.check_output(command, cwd=tmp_path, env=env).splitlines()) == 3000
