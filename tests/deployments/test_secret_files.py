"""`NAME_FILE` names a file with the value of `NAME`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.paths import ROOT

from blocks.errors import ThirdPartyConfigError
from deployments import secret_files

NAME = "ONEPASSWORD_SOURCE_DATABASE_URL"
PAGE = (ROOT / "docs" / "reference" / "configuration.md").read_text()


def written(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    return str(path)


def test_a_file_gives_the_value_without_the_end_of_its_line(tmp_path: Path) -> None:
    environment = {f"{NAME}_FILE": written(tmp_path / "url", b"postgresql://u:p@h/d\n"), "OTHER_FILE": "x"}
    secret_files.read_into(environment)
    assert environment == {NAME: "postgresql://u:p@h/d", "OTHER_FILE": "x"}


@pytest.mark.parametrize("content", [b"", b" \n", b"\xff\xfe", b"a\0b", b"x" * 65537])
def test_a_file_without_a_text_is_refused_and_not_quoted(tmp_path: Path, content: bytes) -> None:
    environment = {f"{NAME}_FILE": written(tmp_path / "url", content)}
    with pytest.raises(ThirdPartyConfigError, match="holds no text") as raised:
        secret_files.read_into(environment)
    assert "xxx" not in str(raised.value)


def test_a_missing_file_is_named_with_its_variable(tmp_path: Path) -> None:
    with pytest.raises(ThirdPartyConfigError, match=rf"{NAME}_FILE names {tmp_path}/none, .*No such file"):
        secret_files.read_into({f"{NAME}_FILE": f"{tmp_path}/none"})


def test_both_variables_are_one_too_many(tmp_path: Path) -> None:
    with pytest.raises(ThirdPartyConfigError, match="Both"):
        secret_files.read_into({NAME: "sqlite:///a", f"{NAME}_FILE": written(tmp_path / "url", b"sqlite:///b")})


def test_a_command_uses_the_file_and_reports_a_missing_one(tmp_path: Path) -> None:
    store = tmp_path / "other.db"
    environment = {**os.environ, "ONEPASSWORD_SOURCE_DATA_DIR": str(tmp_path / "data")}
    command = [sys.executable, "-P", "-m", "deployments.cli", "fields", "list", "--json"]
    file = written(tmp_path / "url", f"sqlite:///{store}\n".encode())
    used = {**environment, f"{NAME}_FILE": file}
    done = subprocess.run(command, env=used, capture_output=True, text=True, check=False)
    assert f"There is no store yet at {store}." in done.stderr
    gone = {**environment, f"{NAME}_FILE": file + ".gone"}
    failed = subprocess.run(command, env=gone, capture_output=True, text=True, check=False)
    assert (failed.returncode, f"{NAME}_FILE names" in failed.stderr) == (2, True), failed.stderr


@pytest.mark.parametrize("name", secret_files.VARIABLES)
def test_every_variable_stands_in_the_documentation(name: str) -> None:
    section = PAGE.partition("## Secrets from files")[2]
    assert f"`{name}`" in section
