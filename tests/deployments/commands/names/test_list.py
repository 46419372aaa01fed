"""The command `names list` shows what was imported, without Prefect."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from support.command_calls import CommandCalls


def test_names_are_imported_listed_and_removed(call: CommandCalls) -> None:
    assert call("names", "import", "vaults.json") == "2 vaults: 2 added, 0 changed, 0 kept.\n"
    assert "personal data" in call.err
    assert call("names", "import", "items.json") == "1 item: 1 added, 0 changed, 0 kept.\n"
    shown = call("names", "list", "BANK").splitlines()
    assert shown[0].split() == ["name", "kind", "uuid", "vault"]
    assert [line.split() for line in shown[1:]] == [["Bank", "item", "i1", "v1"]]
    assert "\x1b" not in call("names", "list")
    assert call("names", "remove", "v1") == "1 name removed.\n"
    assert call("names", "remove", "--all", "--yes") == "2 names removed.\n"
    assert call("names", "list") == ""
    assert "No names are imported" in call.err


@pytest.mark.processes
def test_names_need_no_prefect(call: CommandCalls, tmp_path: Path) -> None:
    code = (
        "import sys; from deployments import cli; cli.main(['names', 'import', 'vaults.json']);"
        "cli.main(['names', 'list']);"
        "sys.exit(any(name.partition('.')[0] == 'prefect' for name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
