"""The command for an optional part fits the installer that made the environment."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from blocks import extras

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("receipt", "command"),
    [
        ("uv-receipt.toml", "uv tool install 'onepassword-source[parquet]'"),
        ("pipx_metadata.json", "pipx install --force 'onepassword-source[parquet]'"),
        ("pyvenv.cfg", f"{sys.executable} -m pip install 'onepassword-source[parquet]'"),
    ],
)
def test_the_command_is_the_one_of_the_installer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, receipt: str, command: str
) -> None:
    (tmp_path / receipt).touch()
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    assert extras.install_command("parquet") == command
