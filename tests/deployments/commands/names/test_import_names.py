"""The command `names import`: from files and standard input, all or nothing."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from support.command_calls import CommandCalls

from blocks.config import name_file
from deployments import cli


def test_standard_input_and_json(call: CommandCalls, monkeypatch: pytest.MonkeyPatch) -> None:
    data = io.BytesIO(json.dumps([*json.loads(Path("vaults.json").read_text()), {"id": "v3", "name": ""}]).encode())
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(data))
    assert call.json("names", "import", "-") == {"added": 2, "changed": 0, "kept": 0, "unnamed": 1}
    listed = {one["uuid"]: one for one in call.json("names", "list")}
    assert listed["v1"] == {**listed["v2"], "uuid": "v1", "name": "Payroll"}
    assert listed["v1"]["kind"] == "vault"
    assert call.json("names", "remove", "v1", "v9") == {"removed": 1}


def test_the_kind_can_be_named(call: CommandCalls) -> None:
    Path("groups.json").write_text('[{"id": "g1", "name": "Owners"}]')
    assert call("names", "import", "groups.json", "--kind", "group").startswith("1 group: 1 added")
    assert "Did you mean group?" in call("names", "import", "groups.json", "--kind", "grop", code=cli.WRONG_USE)


def test_nothing_is_stored_from_a_file_with_a_problem(call: CommandCalls, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("bad.csv").write_text("uuid,kind,name\na,vault,x\nb,moon,y\n")
    assert 'line 3: the kind of "b" is "moon"' in call("names", "import", "bad.csv", code=cli.WRONG_USE)
    assert "none.csv: the file cannot be read" in call("names", "import", "none.csv", code=cli.WRONG_USE)
    monkeypatch.setattr(name_file, "FILE_MAX", 10)
    assert "vaults.json: it is larger than" in call("names", "import", "vaults.json", code=cli.WRONG_USE)
    assert not Path("events.db").exists()
