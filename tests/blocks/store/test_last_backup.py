"""A store knows when its last backup was made, and says nothing if none was."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from blocks.errors import ThirdPartyConfigError
from blocks.store import last_backup
from deployments.checks import backup
from deployments.one_machine import metrics, store_measures

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from support.moving_clock import MovingClock

METRIC = "\nonepassword_source_last_backup_timestamp_seconds 1"
DAY = 86_400


def shown(engine: Engine) -> str:
    return metrics.render([], [], store_measures.measure(engine)).decode()


def test_without_a_backup_nothing_warns(engine: Engine, store_url: str) -> None:
    assert last_backup.find(engine) is None
    assert backup.check_backup(store_url) is None
    assert METRIC not in shown(engine)


def test_its_age_is_checked_and_measured(engine: Engine, store_url: str, moving: MovingClock) -> None:
    last_backup.record(engine, "/backups/one", 5, "ab")
    last_backup.record(engine, "/backups/two", 5, "ab")
    assert METRIC in shown(engine)
    moving.advance(7 * DAY)
    fresh = backup.check_backup(store_url)
    assert fresh
    assert (fresh.result, "/backups/two" in fresh.description) == ("ok", True)
    moving.advance(2 * DAY)
    old = backup.check_backup(store_url)
    assert old
    assert old.result == "warning"
    assert "9 d ago" in old.description


def test_the_age_can_be_set_or_be_off(
    engine: Engine, store_url: str, moving: MovingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    last_backup.record(engine, "/backups/one", 5, "ab")
    moving.advance(9 * DAY)
    for value, result in (("off", "ok"), ("2w", "ok"), ("36h", "warning"), ("soon", "failed")):
        monkeypatch.setenv("ONEPASSWORD_SOURCE_BACKUP_AFTER", value)
        found = backup.check_backup(store_url)
        assert found
        assert found.result == result
    with pytest.raises(ThirdPartyConfigError, match="BACKUP_AFTER is 'soon'"):
        last_backup.limit_ns()
