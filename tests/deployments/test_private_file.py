"""A file is replaced as a whole, and only its owner reads it."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from deployments import private_file

if TYPE_CHECKING:
    from pathlib import Path


def test_only_the_owner_reads_it_even_if_others_could_before(tmp_path: Path) -> None:
    file = tmp_path / "up.json"
    file.write_bytes(b"old")
    file.chmod(0o644)
    private_file.replace(file, b"new")
    assert file.read_bytes() == b"new"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [file]


def test_a_reader_that_has_the_old_one_open_keeps_it(tmp_path: Path) -> None:
    file = tmp_path / "up.json"
    private_file.replace(file, b"old, and longer")
    with file.open("rb") as opened:
        private_file.replace(file, b"new")
        assert opened.read() == b"old, and longer"


def test_a_failed_write_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "up.json"
    private_file.replace(file, b"old")
    monkeypatch.setattr(os, "open", _full_disk)
    with pytest.raises(OSError, match="No space left"):
        private_file.replace(file, b"new")
    assert file.read_bytes() == b"old"


def _full_disk(*_: object) -> int:
    raise OSError(28, "No space left on device")
