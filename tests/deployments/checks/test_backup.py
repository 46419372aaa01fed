"""The check of the last backup: no finding without one, its age, and what the setting says of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from blocks.store import last_backup
from blocks.store.engine import opened_engine
from deployments.checks.backup import check_backup
from deployments.checks.finding import Finding, failed, not_checked, ok, warning

if TYPE_CHECKING:
    from support.moving_clock import MovingClock

DAY = 86_400
HINT = (
    "`onepassword-source backup FILE` makes one; see whether its schedule runs. ONEPASSWORD_SOURCE_BACKUP_AFTER says "
    "how old it may be."
)


@pytest.fixture
def backed_up(url: str, moving: MovingClock) -> str:
    """A store of which a backup was made just now."""
    with opened_engine(url) as engine:
        last_backup.record(engine, "/backups/one", 5, "ab")
        last_backup.record(engine, "/backups/two", 5, "ab")
    return url


def made(age: str) -> str:
    return f"The last one was made {age} ago: /backups/two."


def test_where_there_is_no_store_nothing_is_found_or_made(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    assert check_backup(f"sqlite:///{path}") is None
    assert not path.exists()


def test_a_store_without_a_backup_is_no_warning(url: str) -> None:
    assert check_backup(url) is None


@pytest.mark.parametrize(
    ("seconds", "found"),
    [
        (5 * 60, ok("backup", made("5 min"))),
        (8 * DAY, ok("backup", made("8 d"))),
        (8 * DAY + 1, warning("backup", made("8 d"), HINT)),
    ],
)
def test_a_backup_may_be_eight_days_old(backed_up: str, moving: MovingClock, seconds: int, found: Finding) -> None:
    moving.advance(seconds)
    assert check_backup(backed_up) == found


@pytest.mark.parametrize(
    ("setting", "found"),
    [
        ("off", ok("backup", made("9 d"))),
        ("2w", ok("backup", made("9 d"))),
        ("36h", warning("backup", made("9 d"), HINT)),
        (
            "soon",
            failed(
                "backup",
                "ONEPASSWORD_SOURCE_BACKUP_AFTER is 'soon'.",
                "Set it to a duration such as 36h or 8d, or to off.",
            ),
        ),
    ],
)
def test_the_age_is_that_of_the_setting(
    backed_up: str, moving: MovingClock, monkeypatch: pytest.MonkeyPatch, setting: str, found: Finding
) -> None:
    moving.advance(9 * DAY)
    monkeypatch.setenv("ONEPASSWORD_SOURCE_BACKUP_AFTER", setting)
    assert check_backup(backed_up) == found


def test_a_store_that_cannot_be_read_is_not_checked(url: str) -> None:
    Path(url.removeprefix("sqlite:///")).write_bytes(b"nonsense" * 1000)
    assert check_backup(url) == not_checked("backup", "the store could not be read")
