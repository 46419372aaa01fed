"""The file of a backup is complete or not there, and one that was there stays until then."""

from __future__ import annotations

import resource
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from blocks.errors import FirstPartyGenericError, ThirdPartyConfigError
from deployments.backups.backup_file import new_file, require_writable
from deployments.prefect_api import file_lock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def write(path: Path, content: bytes, error: type[BaseException] | None = None) -> None:
    with new_file(path) as (file, _):
        file.write(content)
        file.flush()
        if error is not None:
            raise error


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_it_appears_complete_and_private(tmp_path: Path) -> None:
    with new_file(tmp_path / "b") as (file, _):
        file.write(b"all of it")
        file.flush()
        assert "b" not in names(tmp_path)
    assert names(tmp_path) == ["b"]
    assert (tmp_path / "b").read_bytes() == b"all of it"
    assert (tmp_path / "b").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, ValueError])
def test_an_interrupted_one_leaves_nothing_and_the_former_one_stays(tmp_path: Path, error: type[BaseException]) -> None:
    (tmp_path / "b").write_bytes(b"former")
    with pytest.raises(error):
        write(tmp_path / "b", b"half", error)
    assert names(tmp_path) == ["b"]
    assert (tmp_path / "b").read_bytes() == b"former"


def test_what_a_killed_one_left_is_removed(tmp_path: Path) -> None:
    for left in (".a.backup-part", ".a.backup-store"):
        (tmp_path / left).write_bytes(b"left")
    with new_file(tmp_path / "b") as (file, _):
        file.write(b"x")
    assert names(tmp_path) == ["b"]


def test_two_at_once_do_not_write_one_file(tmp_path: Path) -> None:
    part = tmp_path / ".b.backup-part"
    with file_lock.hold(part):
        with pytest.raises(FirstPartyGenericError, match="Another backup"), new_file(tmp_path / "b"):
            pass
        assert part.exists(), "it belongs to the other one"


@contextmanager
def full_disk(size: int) -> Iterator[None]:
    """No file of this process grows beyond `size`."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    with full_disk(100_000), pytest.raises(FirstPartyGenericError, match="No backup was made"):
        write(tmp_path / "b", b"x" * 200_000)
    assert names(tmp_path) == []


def test_an_existing_file_is_replaced_only_by_force(tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(b"former")
    with pytest.raises(ThirdPartyConfigError, match="exists already"):
        require_writable(tmp_path / "b", force=False)
    require_writable(tmp_path / "b", force=True)
    for wrong in (tmp_path, tmp_path / "none" / "b"):
        with pytest.raises(ThirdPartyConfigError):
            require_writable(wrong, force=True)
