"""The file of `--output`: complete or absent, private, and errors that name the flag."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import pytest

from blocks.errors import FirstPartyGenericError
from deployments.commands.support.output_file import output_file

if TYPE_CHECKING:
    from pathlib import Path


def test_a_new_file_is_complete_and_private(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    with output_file(path) as file:
        file.write("a\r\nb\n")
        assert not path.exists(), "it appears when it is complete"
    assert path.read_bytes() == b"a\r\nb\n"
    assert path.stat().st_mode & 0o777 == 0o600


def test_an_error_while_writing_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), output_file(path) as file:
        _ = file.write("half") / 0
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path], "no temporary file is left"


def test_a_pipe_is_written_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    received: list[bytes] = []
    reader = threading.Thread(target=lambda: received.append(path.read_bytes()))
    reader.start()
    with output_file(path, binary=True) as file:
        file.write(b"events")
    reader.join(10)
    assert received == [b"events"]
    assert path.is_fifo()


@pytest.mark.parametrize("name", [".", "missing/events.csv"])
def test_a_path_that_cannot_be_written_is_named_with_the_flag(name: str, tmp_path: Path) -> None:
    with pytest.raises(FirstPartyGenericError) as raised, output_file(tmp_path / name, "--html"):
        pass
    assert str(raised.value).startswith(f"{tmp_path / name} cannot be written: ")
    assert "Choose another file with --html." in str(raised.value)
