"""Runs judged with the database's own driver: as SQLAlchemy does it, or left to others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import text
from support.moving_clock import MovingClock

from blocks.store import (
    run_health,
    run_signs,
    run_signs_by_driver,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sqlalchemy import Engine

    Rows = Callable[[str], list[tuple[object, ...]]]


def test_the_plain_way_judges_as_sqlalchemy_does_where_nothing_is_to_be_written(
    ran: Engine, moving: MovingClock, store_url: str
) -> None:
    assert run_signs_by_driver.judge_if_unchanged(store_url) == run_signs.judge_all(ran)
    moving.advance(3600)
    assert run_signs_by_driver.judge_if_unchanged(store_url) is None, "a condition is to be begun"
    run_health.update_conditions(ran)
    found = run_signs_by_driver.judge_if_unchanged(store_url)
    assert found == run_signs.judge_all(ran)
    assert found
    assert not found[0].is_running


def test_the_plain_way_leaves_a_store_of_another_version_to_others(ran: Engine, store_url: str) -> None:
    with ran.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    assert run_signs_by_driver.judge_if_unchanged(store_url) is None


def test_the_plain_way_leaves_to_others_what_it_cannot_read(tmp_path: Path) -> None:
    (tmp_path / "broken.db").write_bytes(b"no database" * 1000)
    assert run_signs_by_driver.judge_if_unchanged(f"sqlite:///{tmp_path / 'broken.db'}") is None
    assert run_signs_by_driver.judge_if_unchanged("postgresql://user@127.0.0.1:1/none") is None
    assert run_signs_by_driver.judge_if_unchanged("postgresql+psycopg://user@127.0.0.1:1/none") is None
    assert run_signs_by_driver.judge_if_unchanged(f"sqlite:///{tmp_path / 'none.db'}") == []
    assert not (tmp_path / "none.db").exists()


def test_the_plain_way_counts_the_sources(ran: Engine, store_url: str, tmp_path: Path) -> None:
    assert run_signs_by_driver.count_sources(store_url) == 1
    with ran.begin() as connection:
        connection.execute(text("UPDATE sources SET deleted_ns = 1"))
    assert run_signs_by_driver.count_sources(store_url) == 0
    assert run_signs_by_driver.count_sources(f"sqlite:///{tmp_path / 'none.db'}") == 0
    (tmp_path / "broken.db").write_bytes(b"no database" * 1000)
    assert run_signs_by_driver.count_sources(f"sqlite:///{tmp_path / 'broken.db'}") is None
