"""`fields`, as a person types it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from deployments import cli

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEPASSWORD_SOURCE_DATABASE_URL", f"sqlite:///{tmp_path / 'events.db'}")


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
