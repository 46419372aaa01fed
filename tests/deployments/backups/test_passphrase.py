"""A passphrase comes from a file, from the environment or from a person, never from the command line."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest

from blocks.errors import ThirdPartyConfigError
from deployments import cli, entry_point
from deployments.backups import passphrase

if TYPE_CHECKING:
    from pathlib import Path

LONG = "correct horse battery staple"


def test_the_one_line_of_a_file(tmp_path: Path) -> None:
    for content in (LONG, LONG + "\n", LONG + "\r\n"):
        (tmp_path / "p").write_text(content, newline="")
        assert passphrase.read_new(tmp_path / "p") == LONG


@pytest.mark.parametrize("content", [b"", b"\n", b"two\nlines", b"\xff\xfe", b"x" * 5000])
def test_a_file_without_one_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "p").write_bytes(content)
    with pytest.raises(ThirdPartyConfigError, match="does not hold a passphrase"):
        passphrase.read(tmp_path / "p")


def test_a_short_one_is_refused_for_a_new_backup_alone(tmp_path: Path) -> None:
    (tmp_path / "p").write_text("short")
    assert passphrase.read(tmp_path / "p") == "short"
    with pytest.raises(ThirdPartyConfigError, match="No backup was made") as refused:
        passphrase.read_new(tmp_path / "p")
    assert "short" not in str(refused.value).replace("as short", "")


def test_that_of_the_environment_is_not_passed_to_child_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    monkeypatch.setenv("ONEPASSWORD_SOURCE_BACKUP_PASSPHRASE", LONG)
    assert cli.main(["--version"]) == cli.DONE
    assert "ONEPASSWORD_SOURCE_BACKUP_PASSPHRASE" not in os.environ
    assert entry_point.backup_passphrase_from_environment() == LONG
    assert passphrase.read(None) == LONG
    assert cli.main(["--version"]) == cli.DONE
    assert entry_point.backup_passphrase_from_environment() is None


def test_without_a_passphrase_a_script_gets_the_option_for_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    with pytest.raises(ThirdPartyConfigError, match="--passphrase-file FILE"):
        passphrase.read(None)
