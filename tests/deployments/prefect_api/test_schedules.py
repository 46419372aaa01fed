"""Ticks are spread: by the id of the source, the same in every process, and none of them together with many others."""

from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, datetime

import pytest
from support.moving_clock import MovingClock

from blocks import clock
from deployments.prefect_api.schedules import COLLECT, FORWARD, RECONCILE, Ticks, staggered_schedules
from deployments.prefect_api.templates import PRUNE, read_template

IDS = [random.Random(number).randbytes(16).hex() for number in range(300)]  # noqa: S311 - no secret


def test_each_tick_is_the_same_forever() -> None:
    assert COLLECT.anchor("1" * 32) == datetime(2026, 1, 1, 0, 2, 20, tzinfo=UTC)
    assert RECONCILE.anchor("1" * 32) == datetime(2026, 1, 1, 1, 17, tzinfo=UTC)
    assert FORWARD.anchor("1" * 32) == datetime(2026, 1, 1, 0, 13, 41, tzinfo=UTC)


@pytest.mark.parametrize(("ticks", "bins"), [(COLLECT, 30), (RECONCILE, 24), (FORWARD, 36)])
def test_no_part_of_the_window_has_far_more_than_its_share(ticks: Ticks, bins: int) -> None:
    width = ticks.window // bins
    start = min(ticks.anchor(key) for key in IDS).replace(minute=0, second=0)
    counts = Counter(int((ticks.anchor(key) - start).total_seconds()) // width for key in IDS)
    assert max(counts.values()) <= 2.5 * len(IDS) / bins
    assert len(counts) >= 0.9 * bins


def test_reconcile_is_done_at_night() -> None:
    assert {ticks.hour for ticks in map(RECONCILE.anchor, IDS)} == {1, 2, 3, 4}
    assert {ticks.second for ticks in map(RECONCILE.anchor, IDS)} == {0}


def test_how_long_it_is_until_a_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    moving = MovingClock(int(COLLECT.anchor(IDS[0]).timestamp() * 1e9))
    monkeypatch.setattr(clock, "clock", moving)
    assert COLLECT.seconds_until(IDS[0]) == 0
    moving.advance(299)
    assert COLLECT.seconds_until(IDS[0]) == 1
    moving.advance(1e6 + 2)
    assert COLLECT.seconds_until(IDS[0]) == 300 - (1e6 + 1) % 300


def test_a_flow_without_ticks_keeps_the_schedule_of_its_template() -> None:
    template = read_template(PRUNE)
    assert staggered_schedules(template, "any key") == template["schedules"]
