"""`fields`, as a person types it."""

from __future__ import annotations

import json
import subprocess
import sys
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


def test_listing_without_a_store_is_an_error_and_creates_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["fields", "list"]) == cli.WRONG_USE
    assert "There is no store yet" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_listing_imports_no_prefect(tmp_path: Path) -> None:
    code = (
        "import sys; from deployments import cli; cli.main(['fields', 'add', 'x']); cli.main(['fields', 'list']);"
        "cli.main(['prune', '--older-than', '400d', '--dry-run']);"
        "sys.exit(any(name.partition('.')[0] == 'prefect' for name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.prefect
def test_apply_warns_of_dropped_fields_and_adds_them_on_request(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "source.json"

    def apply(fields: dict[str, object], *flags: str, code: int = cli.DONE) -> tuple[str, str]:
        config = {"name": "With fields", "base_url": "http://127.0.0.1:9", "api_token": "x" * 20, "fields": fields}
        config["supported_apis"] = ["audit"]
        source = {"sourceType": "Universal", "schemaRef": {"type": "1Password"}, "config": config}
        file.write_text(json.dumps({"source": source}))
        file.chmod(0o600)
        assert cli.main(["apply", str(file), "--unchecked", *flags]) == code
        return capsys.readouterr()

    fields: dict[str, object] = {"_siemForward": True, "team": "blue", "region": "eu"}
    out, err = apply(fields)
    assert out == "With fields: created (audit).\n"
    assert 'Warning: With fields: The field "team" is unknown, so it is dropped' in err
    assert "Add it with: onepassword-source fields add region" in err
    assert "_siemForward" not in err
    assert cli.main(["status", "With fields"]) == cli.DONE
    assert 'The field "region" is unknown, so it is dropped' in " ".join(capsys.readouterr().out.split())
    out, err = apply({**fields, "a b": 1}, "--add-fields", code=cli.WRONG_USE)
    assert '"a b" cannot be added' in err
    out, err = apply(fields, "--add-fields")
    assert out == "Fields added: team, region.\nWith fields: unchanged (audit).\n"
    assert "The field" not in err
    assert cli.main(["fields", "disable", "team"]) == cli.DONE
    capsys.readouterr()
    out, err = apply(fields, "--add-fields", "--json")
    assert json.loads(out)[0]["dropped_fields"] == ["team"]
    assert "Enable it with: onepassword-source fields enable team" in err
    assert cli.main(["status", "With fields", "--json"]) == cli.DONE
    assert json.loads(capsys.readouterr().out)[0]["dropped_fields"] == ["team"]
