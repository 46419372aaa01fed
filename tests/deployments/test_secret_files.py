"""`NAME_FILE` names a file with the value of `NAME`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.paths import ROOT

from blocks.problems import ConfigurationError
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
    with pytest.raises(ConfigurationError, match=rf"{NAME}_FILE: the file ") as raised:
        secret_files.read_into(environment)
    assert "xxx" not in str(raised.value)


def test_a_missing_file_is_named_with_its_variable(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=rf"{NAME}_FILE: the file \"{tmp_path}/none\" .*No such file"):
        secret_files.read_into({f"{NAME}_FILE": f"{tmp_path}/none"})


def test_both_variables_are_one_too_many(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="is set, too"):
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
    assert (failed.returncode, f"{NAME}_FILE: the file" in failed.stderr) == (2, True), failed.stderr


def test_a_credential_of_systemd_needs_no_variable(tmp_path: Path) -> None:
    written(tmp_path / "database-url", b"postgresql://u:p@h/d")
    written(tmp_path / "something-else", b"x")
    environment = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    secret_files.read_into(environment)
    assert environment == {"CREDENTIALS_DIRECTORY": str(tmp_path), NAME: "postgresql://u:p@h/d"}
    environment = {"CREDENTIALS_DIRECTORY": str(tmp_path), NAME: "sqlite:///a"}
    secret_files.read_into(environment)
    assert environment[NAME] == "sqlite:///a"


def test_all_problems_come_at_once_and_a_file_that_every_user_may_read_is_reported(tmp_path: Path) -> None:
    problems = {f"{name}_FILE": f"{tmp_path}/none" for name in secret_files.VARIABLES}
    with pytest.raises(ConfigurationError) as raised:
        secret_files.read_into(problems)
    assert len(raised.value.problems) == len(secret_files.VARIABLES)
    (warning,) = secret_files.read_into({f"{NAME}_FILE": "/etc/hostname"})
    assert "every user of this machine may read it" in warning


@pytest.mark.parametrize("name", secret_files.VARIABLES)
def test_every_variable_stands_in_the_documentation(name: str) -> None:
    section = PAGE.partition("## Secrets from files")[2]
    assert f"`{name}`" in section
