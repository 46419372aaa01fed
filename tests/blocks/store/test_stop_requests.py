"""A request to the runs of a source to end is for those that were opened before it, whatever the clock does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blocks.store import sources

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from support.moving_clock import MovingClock

    from blocks.store.sources import SourceRecord


def test_a_run_ends_that_was_opened_before_the_request_and_a_later_one_goes_on(
    engine: Engine, source: SourceRecord, moving: MovingClock
) -> None:
    opened_ns = moving.now_ns()
    assert not sources.stop_requested(engine, source.id, opened_ns)
    moving.advance(1)
    sources.request_stop(engine, source.id)
    assert sources.stop_requested(engine, source.id, opened_ns)
    moving.advance(1)
    assert not sources.stop_requested(engine, source.id, moving.now_ns())


def test_a_run_that_is_opened_after_the_clock_was_set_back_goes_on(
    engine: Engine, source: SourceRecord, moving: MovingClock
) -> None:
    sources.request_stop(engine, source.id)
    for seconds in (-600, -6600):
        moving.advance(seconds)
        assert not sources.stop_requested(engine, source.id, moving.now_ns())
