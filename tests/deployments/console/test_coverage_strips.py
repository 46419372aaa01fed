"""The coverage of a source as a strip: the worst of its APIs on each day, kept for two minutes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from support.coverage_reports import UP_TO_NOW, record, report_of
from support.values import SOURCE

from blocks.store import sources
from deployments.console import coverage_strips
from deployments.console.coverage_strips import FRESH_NS, CoverageStrips, compute_strip

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from support.moving_clock import MovingClock


def test_the_worst_api_gives_a_day_its_kind() -> None:
    made = report_of(record((6, UP_TO_NOW)), record((6, 4), (2, UP_TO_NOW), stream_id=2, api="sign-in"), days=7)
    strip = compute_strip(made)
    assert strip.days == ("before", "full", "full", "gap", "gap", "full", "full", "full")
    assert strip.gaps == 1


def test_what_is_lost_is_worse_than_a_gap() -> None:
    made = report_of(record((130, 125), (2, UP_TO_NOW)), days=124)
    assert {*compute_strip(made).days} == {"lost", "gap", "full"}
    assert compute_strip(made).days[0] == "lost"


def test_the_same_gap_of_two_apis_is_one() -> None:
    both = [record((6, 4), (2, UP_TO_NOW), stream_id=number, api=f"api-{number}") for number in (1, 2)]
    assert compute_strip(report_of(*both, days=7)).gaps == 1


def test_events_make_a_day_full_though_no_span_says_so() -> None:
    strip = compute_strip(report_of(record(), days=2, events={1: 5}))
    assert strip.days == ("before", "full", "before")


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The reports that were made."""
    made: list[object] = []
    real = coverage_strips.coverage_record.report_of
    monkeypatch.setattr(coverage_strips.coverage_record, "report_of", lambda *of: made.append(of) or real(*of))
    return made


def test_a_strip_is_made_again_after_two_minutes_in_either_direction(
    engine: Engine, moving: MovingClock, counted: list[object]
) -> None:
    sources.save(engine, SOURCE)
    strips = CoverageStrips()
    for seconds, reports in ((0, 1), (FRESH_NS / 1e9 - 1, 1), (1, 2), (-FRESH_NS / 1e9, 3)):
        moving.advance(seconds)
        assert len(strips.strip(engine, SOURCE.id, SOURCE.name).days) >= 120
        assert len(counted) == reports


def test_the_oldest_strips_are_forgotten(
    engine: Engine, moving: MovingClock, counted: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coverage_strips, "SOURCES_MAX", 1)
    sources.save(engine, SOURCE)
    strips = CoverageStrips()
    for _ in range(2):
        strips.strip(engine, SOURCE.id, SOURCE.name)
    other = replace(SOURCE, id="9" * 32, name="other")
    sources.save(engine, other)
    strips.strip(engine, other.id, other.name)
    assert len(counted) == 2
    strips.strip(engine, SOURCE.id, SOURCE.name)
    assert len(counted) == 3
