"""Locks on files: who only looks is never taken for who has one."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from deployments.prefect_api import file_lock

if TYPE_CHECKING:
    from pathlib import Path


def test_a_lock_that_another_has_alone_is_not_free_until_it_is_released(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert file_lock.is_free(path)
    mine, other = file_lock.open_lock(path), file_lock.open_lock(path)
    assert file_lock.try_lock(mine)
    assert not file_lock.is_free(path)
    assert not file_lock.lock_within(other, 0.1)
    os.close(mine)
    assert file_lock.lock_within(other, 0.1)
    os.close(other)


def test_a_check_keeps_no_process_from_taking_it(tmp_path: Path) -> None:
    path, over = tmp_path / "lock", threading.Event()

    def look() -> None:
        while not over.is_set():
            file_lock.is_free(path)

    lookers = [threading.Thread(target=look) for _ in range(4)]
    for looker in lookers:
        looker.start()
    try:
        for _ in range(50):
            mine = file_lock.open_lock(path)
            assert file_lock.lock_within(mine, 30)
            os.close(mine)
    finally:
        over.set()
        for looker in lookers:
            looker.join()


def test_several_share_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with file_lock.hold(path, shared=True), file_lock.hold(path, shared=True):
        mine = file_lock.open_lock(path)
        assert not file_lock.try_lock(mine)
    assert file_lock.try_lock(mine)
    os.close(mine)
