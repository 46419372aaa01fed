"""`install-service`: what it writes, what it prints, and what it refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.command_calls import CommandCalls

from deployments import cli

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> CommandCalls:
    return CommandCalls(capsys)


def test_a_service_of_the_system_is_written_and_the_next_commands_are_shown(call: CommandCalls, tmp_path: Path) -> None:
    out = call("install-service", "--root", str(tmp_path), "--name", "events")
    unit = tmp_path / "etc/systemd/system/events.service"
    assert out.splitlines()[-1] == f"{unit}: written."
    assert "Type=notify" in unit.read_text()
    for line in ("systemd-sysusers events.conf", "systemctl enable --now events", "journalctl -u events -f"):
        assert line in call.err
    assert "sudo -u events env ONEPASSWORD_SOURCE_DATA_DIR=/var/lib/events " in call.err
    out = call("install-service", "--root", str(tmp_path), "--name", "events", "--uninstall")
    assert f"{unit}: removed." in out
    assert "/var/lib/events stay" in call.err


def test_a_service_of_a_user_is_in_its_own_folder(
    call: CommandCalls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("ONEPASSWORD_SOURCE_DATA_DIR", str(tmp_path / "data"))
    call("install-service", "--user")
    unit = (tmp_path / "systemd/user/onepassword-source.service").read_text()
    assert f"Environment=ONEPASSWORD_SOURCE_DATA_DIR={tmp_path}/data\n" in unit
    assert "loginctl enable-linger" in call.err
    assert "sudo" not in call.err


def test_a_dry_run_prints_the_files_and_writes_none(call: CommandCalls, tmp_path: Path) -> None:
    out = call("install-service", "--root", str(tmp_path), "--dry-run")
    assert "[Service]\nType=notify\n" in out
    assert 'u onepassword-source - "1Password Source"' in out
    assert list(tmp_path.iterdir()) == []


def test_a_script_gets_the_files_and_what_was_done(call: CommandCalls, tmp_path: Path) -> None:
    printed = call.json("install-service", "--root", str(tmp_path), "--dry-run")
    assert set(printed[-1]) == {"file", "content"}
    done = call.json("install-service", "--root", str(tmp_path))
    assert [one["change"] for one in done] == ["written"] * 3
    assert [one["file"] for one in done] == [one["file"] for one in printed]


def test_a_changed_unit_needs_force(call: CommandCalls, tmp_path: Path) -> None:
    call("install-service", "--root", str(tmp_path))
    unit = tmp_path / "etc/systemd/system/onepassword-source.service"
    unit.write_text("# mine\n")
    assert "was changed by hand" in call("install-service", "--root", str(tmp_path), code=cli.WRONG_USE)
    assert f"{unit}: updated." in call("install-service", "--root", str(tmp_path), "--force")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--name", "a b"), "--name takes up to 31"),
        (("--user", "--root", "/x"), "exclude each other"),
    ],
)
def test_wrong_use_is_an_error(call: CommandCalls, options: tuple[str, ...], words: str) -> None:
    assert words in call("install-service", *options, code=cli.WRONG_USE)
