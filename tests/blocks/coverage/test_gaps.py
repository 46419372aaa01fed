"""What counts as collected, what as a gap, and how long a gap can still be closed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.coverage.gaps import (
    DAY_NS,
    HOUR_NS,
    KEPT_NS,
    KNOWN_NS,
    Coverage,
    CoverageRecord,
    Gap,
    GapKind,
    ReadWindow,
    coverage,
)
from blocks.store.backfill import jobs

NOW = 1_000 * DAY_NS
MINUTE = 60 * 10**9


def found_of(api: str = "audit", *, now_ns: int = NOW, **members: Any) -> Coverage:
    return coverage(CoverageRecord(1, api, **members), now_ns)


def ago(days: float) -> int:
    return NOW - int(days * DAY_NS)


def live(*spans: tuple[float, float], drained: float = 0.0, **members: Any) -> dict[str, Any]:
    """Spans in days ago, read by a source whose last complete drain began so many days ago."""
    bounds = tuple((ago(start), ago(end)) for start, end in spans)
    return {"read_from_ns": bounds[0][0], "drained_ns": ago(drained), "spans": bounds, **members}


def window(start: float, end: float, *, begun: float = 0.0, done: float = 0.0, reconcile: bool = False) -> ReadWindow:
    return ReadWindow(ago(start), ago(end), ago(begun), ago(done), reconcile)


def gaps(found: Coverage, *kinds: GapKind) -> list[tuple[str, float, float]]:
    """Kind, and start and end in days ago."""
    return [
        (gap.kind.value, (NOW - gap.start_ns) / DAY_NS, (NOW - gap.end_ns) / DAY_NS)
        for gap in found.gaps
        if not kinds or gap.kind in kinds
    ]


def test_a_source_that_collects_has_no_gap_and_what_was_before_is_none() -> None:
    found = found_of(**live((30, 0.001)))
    assert gaps(found) == [("before", 120, 30)]
    assert found.holes == ()
    assert found.collecting


def test_a_source_that_was_never_read_has_no_gap() -> None:
    assert gaps(found_of()) == [("before", 120, 0)]
    assert found_of().first_ns is None


def test_before_the_first_drain_is_over_it_collects_and_after_that_time_it_does_not() -> None:
    first = {"read_from_ns": ago(1)}
    assert gaps(found_of(**first, progress_ns=NOW)) == [("before", 120, 1)]
    assert gaps(found_of(**first, progress_ns=ago(0.5))) == [("before", 120, 1), ("open", 1, 0)]


def test_half_an_hour_after_the_last_read_there_is_an_open_gap_since_then() -> None:
    within = found_of(**live((30, 1 / 48), drained=1 / 48))
    later = found_of(**live((30, 1 / 48 + 0.001), drained=1 / 48 + 0.001))
    assert (within.holes, within.collecting) == ((), True)
    assert later.collecting is False
    ((kind, start, end),) = gaps(later, GapKind.OPEN)
    assert (kind, end) == ("open", 0)
    assert start == pytest.approx(1 / 48 + 0.001)


def test_what_a_long_drain_reads_page_by_page_is_no_gap() -> None:
    assert found_of(**live((30, 10), drained=10), progress_ns=ago(0.01)).holes == ()


def test_where_continuity_was_lost_there_is_a_gap_that_only_a_backfill_closes() -> None:
    assert gaps(found_of(**live((30, 20), (10, 0)))) == [("before", 120, 30), ("gap", 20, 10)]


def test_a_restarted_cursor_has_a_gap_before_it_and_none_after() -> None:
    found = found_of(**{**live((200, 130)), "read_from_ns": ago(118), "progress_ns": NOW})
    assert gaps(found) == [("lost", 125, 120), ("gap", 120, 118)]


@pytest.mark.parametrize("kind", ["backfill", "reconcile"])
def test_a_window_that_was_read_closes_a_gap_in_part_or_wholly(kind: str) -> None:
    spans = live((30, 20), (10, 0))
    half = window(20, 15, reconcile=kind == "reconcile")
    assert gaps(found_of(**spans, windows=(half,)), GapKind.GAP) == [("gap", 15, 10)]
    assert found_of(**spans, windows=(half, window(16, 10))).holes == ()


def test_item_usages_of_the_last_day_before_a_window_was_read_may_still_come() -> None:
    spans = live((30, 20), (10, 0))
    early = (window(20, 10, begun=9.5),)
    assert gaps(found_of("itemUsage", **spans, windows=early), GapKind.GAP) == [("gap", 10.5, 10)]
    assert found_of("itemUsage", **spans, windows=(window(20, 10, begun=9),)).holes == ()
    assert found_of("audit", **spans, windows=early).holes == ()
    ((_, start, end),) = gaps(found_of("sign-in", **spans, windows=(window(20, 10, begun=10),)), GapKind.GAP)
    assert (end, start) == (10, pytest.approx(10 + 1 / 24))


def test_a_window_that_was_read_too_early_to_be_sure_of_anything_covers_nothing() -> None:
    found = found_of("itemUsage", windows=(window(1, 0.5, begun=0.4),))
    assert (found.covered, found.first_ns) == ([], None)


def test_a_backfill_alone_has_its_start_and_is_not_collected_since() -> None:
    assert gaps(found_of(windows=(window(9, 4), window(4, 3)))) == [("before", 120, 9), ("open", 3, 0)]


def test_1password_keeps_120_days_and_a_gap_is_cut_there() -> None:
    found = found_of(**live((200, 124), (123, 122), (110, 0)))
    assert gaps(found) == [("lost", 124, 123), ("lost", 122, 120), ("gap", 120, 110)]
    old, cut, closable = found.gaps
    assert (old.left_ns(NOW), cut.left_ns(NOW), closable.left_ns(NOW)) == (0, 0, 0)
    assert closable.dropped_by_ns == NOW + 10 * DAY_NS
    younger = found_of(**live((30, 20), (10, 0))).holes[0]
    assert younger.left_ns(NOW) == 100 * DAY_NS
    assert younger.dropped_from_ns == ago(20) + KEPT_NS


def test_an_outage_of_more_than_120_days_is_lost_in_part_and_open_for_the_rest() -> None:
    assert gaps(found_of(**live((200, 122), drained=122))) == [("lost", 122, 120), ("open", 120, 0)]


def test_no_gap_is_reported_where_windows_are_no_longer_recorded() -> None:
    assert gaps(found_of(**live((200, 150), (140, 130), (119, 0)))) == [("lost", 125, 120), ("gap", 120, 119)]
    assert KNOWN_NS == jobs.FORGOTTEN_NS


def test_reconciled_is_what_was_compared_late_enough_to_be_sure() -> None:
    windows = (
        window(20, 10, begun=5, done=5, reconcile=True),
        window(12, 11, begun=2, done=2, reconcile=True),
        window(30, 1, begun=1, done=1),
    )
    found = found_of(**live((30, 0)), windows=windows)
    assert [((NOW - s) / DAY_NS, (NOW - e) / DAY_NS, (NOW - at) / DAY_NS) for s, e, at in found.reconciled] == [
        (20, 12, 5),
        (12, 11, 2),
        (11, 10, 5),
    ]
    assert found.reconciled_ns == ago(2)


minutes = st.integers(0, 300)
spans_ = st.lists(st.tuples(minutes, minutes), max_size=4)
windows_ = st.lists(st.tuples(minutes, minutes, minutes), max_size=4)


@given(
    spans=spans_,
    windows=windows_,
    read_from=st.none() | minutes,
    now=st.integers(1, 400),
    drained=st.integers(1, 350),
    base=st.integers(0, 400),
)
def test_every_minute_is_what_a_model_says_that_knows_each_by_itself(
    *,
    spans: list[tuple[int, int]],
    windows: list[tuple[int, int, int]],
    read_from: int | None,
    now: int,
    drained: int,
    base: int,
) -> None:
    zero = base * MINUTE

    def at(minute: int) -> int:
        return zero + minute * MINUTE

    # Of what lies ahead, or was begun in the future, there is none in a real store.
    spans = [(a, b) for a, b in spans if a < b <= now]
    windows = [(a, b, begun) for a, b, begun in windows if a < b <= now and begun <= now]
    read_from = None if read_from is None or read_from > now else read_from
    drained = min(drained, now)
    now_ns = at(now)
    record = CoverageRecord(
        1,
        "audit",
        read_from_ns=None if read_from is None else at(read_from),
        drained_ns=at(drained),
        spans=tuple((at(a), at(b)) for a, b in spans),
        windows=tuple(ReadWindow(at(a), at(b), at(begun), at(begun)) for a, b, begun in windows),
    )
    found = coverage(record, now_ns)

    covered = {m for a, b in spans for m in range(a, b)}
    covered |= {m for a, b, begun in windows for m in range(a, min(b, begun - 60))}
    live = [b for _, b in spans] + ([] if read_from is None else [read_from])
    edge = max(live, default=max(covered, default=-1) + 1)
    first = min([*covered, *([] if read_from is None else [read_from])], default=None)
    is_gap = set() if first is None else {m for m in range(first, edge) if m not in covered}
    is_open = set() if first is None or now - drained <= 30 else {m for m in range(edge, now) if m not in covered}

    def minutes_of(kind: GapKind) -> set[int]:
        return {
            m
            for gap in found.gaps
            if gap.kind is kind
            for m in range((gap.start_ns - zero) // MINUTE, (gap.end_ns - zero) // MINUTE)
            if 0 <= m < now
        }

    assert minutes_of(GapKind.GAP) == is_gap
    assert minutes_of(GapKind.OPEN) == is_open
    assert minutes_of(GapKind.BEFORE) == set(range(now if first is None else first))
    assert {m for a, b in found.covered for m in range((a - zero) // MINUTE, (b - zero) // MINUTE)} == covered


@given(st.integers(-300, 100), st.integers(1, 300), st.integers(0, 600))
def test_a_gap_is_lost_up_to_the_oldest_moment_that_is_kept(start: int, length: int, later: int) -> None:
    begin = NOW - KEPT_NS + start * HOUR_NS
    record = CoverageRecord(
        1,
        "audit",
        read_from_ns=begin - DAY_NS,
        drained_ns=NOW,
        spans=((begin - DAY_NS, begin), (begin + length * HOUR_NS, NOW)),
    )
    now = NOW + later * HOUR_NS
    parts = [gap for gap in coverage(record, now).holes if gap.kind is not GapKind.OPEN]
    hours = {
        (gap.kind, hour)
        for gap in parts
        for hour in range((gap.start_ns - begin) // HOUR_NS, (gap.end_ns - begin) // HOUR_NS)
    }
    assert hours == {
        (GapKind.LOST if begin + hour * HOUR_NS < now - KEPT_NS else GapKind.GAP, hour)
        for hour in range(length)
        if begin + hour * HOUR_NS >= now - KNOWN_NS
    }
    assert all(isinstance(gap, Gap) and gap.length_ns > 0 for gap in parts)
