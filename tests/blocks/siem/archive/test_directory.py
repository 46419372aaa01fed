"""An archive in a directory: for its user alone, whole or not there."""

from __future__ import annotations

import resource
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support import siems as support
from support.archives import arrived_in, one_batch, send_one
from torture.strike import read_only

from blocks.errors import ThirdPartyConfigError, ThirdPartyGenericError
from blocks.events_api.models import Api
from blocks.siem.archive.block import Archive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def test_what_is_made_is_for_its_own_user_alone(tmp_path: Path) -> None:
    sender = Archive(url=tmp_path.as_uri()).get_sender()
    sender.send(one_batch(sender, support.events(Api.SIGN_IN, 1)))
    modes = {path.is_dir(): path.stat().st_mode & 0o777 for path in tmp_path.rglob("*")}
    assert modes == {True: 0o700, False: 0o600}


def _code_of(ask: Callable[[], object]) -> str:
    with pytest.raises(ThirdPartyConfigError) as raised:
        ask()
    return raised.value.code


def test_a_missing_or_read_only_directory_is_a_configuration_error(tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.mkdir()
    with read_only(there):
        for root, code in ((tmp_path / "none", "ENOENT"), (there, "EROFS")):
            block = Archive(url=root.as_uri())
            assert {_code_of(block.get_sender().check), _code_of(lambda block=block: send_one(block))} == {code}
    assert not (tmp_path / "none").exists()


@contextmanager
def no_file_beyond(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_leaves_the_old_file_whole_and_no_part(tmp_path: Path) -> None:
    sender = Archive(url=tmp_path.as_uri()).get_sender()
    sender.send(one_batch(sender, support.events(Api.SIGN_IN, 5)))
    with no_file_beyond(1000), pytest.raises(ThirdPartyGenericError, match="Free space") as raised:
        sender.send(one_batch(sender, support.events(Api.SIGN_IN, 400)))
    assert raised.value.code == "EFBIG"
    assert len(arrived_in(tmp_path)) == 5
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 1
    sender.send(one_batch(sender, support.events(Api.SIGN_IN, 400)))
    assert len(arrived_in(tmp_path)) == 400
