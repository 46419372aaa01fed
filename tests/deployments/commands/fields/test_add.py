"""The command `fields add`, and what follows from it for the others."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from blocks.store.fields import BUILT_IN
from deployments import cli

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEPASSWORD_SOURCE_DATABASE_URL", f"sqlite:///{tmp_path / 'events.db'}")


def test_fields_may_come_before_the_first_source(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["fields", "add", "team", "region", "_siemForward"]) == cli.DONE
    assert capsys.readouterr().out == "team: added.\nregion: added.\n_siemForward: already exists.\n"
    assert cli.main(["fields", "disable", "team", "team"]) == cli.DONE
    assert capsys.readouterr().out == "team: disabled.\n"
    assert cli.main(["fields", "add", "team"]) == cli.DONE
    assert capsys.readouterr().out.endswith("Enable it with: onepassword-source fields enable team\n")
    assert cli.main(["fields", "list"]) == cli.DONE
    shown = capsys.readouterr().out.splitlines()
    assert shown[-2:] == ["enabled   region", "disabled  team"]
    assert "enabled   _siemForward  built in" in shown
    assert cli.main(["fields", "enable", "team", "region"]) == cli.DONE
    assert capsys.readouterr().out == "team: enabled.\nregion: was already enabled.\n"
    assert cli.main(["fields", "list", "--json"]) == cli.DONE
    listed = json.loads(capsys.readouterr().out)
    assert [one["field"] for one in listed] == [*BUILT_IN, "region", "team"]
    assert listed[-1] == {"field": "team", "enabled": True, "built_in": False}


def test_wrong_names_are_wrong_use(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["fields", "add", "a b", "\x1b[2J"]) == cli.WRONG_USE
    errors = capsys.readouterr().err
    assert errors.startswith('onepassword-source: 2 fields are invalid:\n  "a b" cannot be added:')
    assert "\x1b" not in errors
    assert cli.main(["fields", "disable", "_siemForward"]) == cli.WRONG_USE
    assert "is built in and cannot be disabled. Nothing was changed" in capsys.readouterr().err
