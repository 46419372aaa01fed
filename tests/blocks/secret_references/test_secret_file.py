"""Secrets in files: bounded, text only, and reported if other users may read them."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from blocks.problems import ConfigurationError
from blocks.secret_references import secret_file


def problem(path: object) -> str:
    with pytest.raises(ConfigurationError) as raised:
        secret_file.read(str(path), "$.api_token")
    return str(raised.value)


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_the_line_end_is_no_part_of_the_secret(tmp_path: Path, end: str) -> None:
    file = tmp_path / "token"
    file.write_bytes(f" a-secret {end}".encode())
    assert secret_file.read(str(file), "$") == " a-secret "


def test_a_key_of_several_lines_is_one_secret(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("-----BEGIN KEY-----\nabc\n-----END KEY-----\n")
    assert secret_file.read(str(file), "$") == "-----BEGIN KEY-----\nabc\n-----END KEY-----"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"\n \n", "is empty"),
        (b"\xff\xfe\x00", "is not text in UTF-8"),
        (b"abc\x00def", "holds control characters"),
        (b"x" * (secret_file.BYTES_MAX + 1), "is larger than 64 KiB"),
    ],
)
def test_what_is_no_secret_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    file = tmp_path / "token"
    file.write_bytes(content)
    assert words in problem(file)


def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert "is not a regular file" in problem(tmp_path / "pipe")
    assert "cannot be read" in problem(tmp_path / "missing")
    assert "cannot be read" in problem(tmp_path) or "is not a regular file" in problem(tmp_path)
    assert "has no absolute path" in problem("token")
    assert "has no absolute path" in problem("")


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory that every user may enter: pytest's own are closed."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name)
        path.chmod(0o755)
        if not all(parent.stat().st_mode & stat.S_IXOTH for parent in path.parents):
            pytest.skip("the temporary directory is closed to other users")
        yield path


@pytest.mark.parametrize(("mode", "warns"), [(0o600, False), (0o640, False), (0o644, True), (0o444, True)])
def test_a_file_that_every_user_may_read_is_reported(open_directory: Path, mode: int, warns: bool) -> None:
    file = open_directory / "token"
    file.write_text("a-secret")
    file.chmod(mode)
    assert (secret_file.exposure(str(file)) is not None) == warns


def test_a_closed_directory_closes_its_files(open_directory: Path) -> None:
    file = open_directory / "token"
    file.write_text("a-secret")
    file.chmod(0o644)
    open_directory.chmod(0o700)
    assert secret_file.exposure(str(file)) is None


def test_a_link_is_as_open_as_what_it_leads_to(open_directory: Path) -> None:
    closed = open_directory / "closed"
    closed.mkdir(mode=0o700)
    (closed / "token").write_text("a-secret")
    (closed / "token").chmod(0o644)
    (open_directory / "link").symlink_to(closed / "token")
    assert secret_file.exposure(str(open_directory / "link")) is None
    closed.chmod(0o755)
    assert secret_file.exposure(str(open_directory / "link")) is not None
