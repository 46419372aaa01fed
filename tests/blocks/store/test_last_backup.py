"""A store knows when its last backup was made, and says nothing if none was."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.moving_clock import START_NS

from blocks.errors import ThirdPartyConfigError
from blocks.store import last_backup
from blocks.store.last_backup import LastBackup
from deployments.one_machine import metrics, store_measures

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from support.moving_clock import MovingClock

METRIC = "\nonepassword_source_last_backup_timestamp_seconds 1"
HOUR_NS = 3600 * 10**9


def shown(engine: Engine) -> str:
    return metrics.render([], [], store_measures.measure(engine)).decode()


def test_a_store_without_a_backup_has_no_last_one(engine: Engine) -> None:
    assert last_backup.find(engine) is None
    assert METRIC not in shown(engine)


def test_the_newest_backup_is_the_last_one(engine: Engine, moving: MovingClock) -> None:
    last_backup.record(engine, "/backups/one", 5, "ab")
    moving.advance(60)
    last_backup.record(engine, "/backups/two", 5, "ab")
    assert last_backup.find(engine) == LastBackup(START_NS + 60 * 10**9, "/backups/two")
    assert METRIC in shown(engine)


@pytest.mark.parametrize(
    ("setting", "limit_ns"), [("", 8 * 24 * HOUR_NS), ("36h", 36 * HOUR_NS), ("2w", 14 * 24 * HOUR_NS), ("off", None)]
)
def test_the_age_can_be_set_or_be_off(monkeypatch: pytest.MonkeyPatch, setting: str, limit_ns: int | None) -> None:
    monkeypatch.setenv("ONEPASSWORD_SOURCE_BACKUP_AFTER", setting)
    assert last_backup.limit_ns() == limit_ns


def test_an_age_that_is_none_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEPASSWORD_SOURCE_BACKUP_AFTER", "soon")
    with pytest.raises(ThirdPartyConfigError) as raised:
        last_backup.limit_ns()
    assert (raised.value.code, str(raised.value)) == (
        "setting",
        "ONEPASSWORD_SOURCE_BACKUP_AFTER is 'soon'. Set it to a duration such as 36h or 8d, or to off.",
    )
