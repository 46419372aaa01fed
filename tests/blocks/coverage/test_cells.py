"""The cells of a coverage report: their bounds, their counts, and what of each was collected."""

from __future__ import annotations

from blocks.coverage.cells import cells, edges
from blocks.coverage.gaps import DAY_NS, HOUR_NS, KEPT_NS, Coverage, CoverageRecord, Gap, GapKind

START = 20_000 * DAY_NS
HOURS = 20_000 * 24


def coverage(
    *gaps: Gap, covered: list[tuple[int, int]], reconciled: list[tuple[int, int, int]] | None = None
) -> Coverage:
    return Coverage(CoverageRecord(1, "audit"), START + KEPT_NS, START, False, covered, gaps, reconciled or [])


def test_the_bounds_hold_the_whole_time_and_are_one_cell_at_least() -> None:
    assert edges(START + 1, START + DAY_NS + 1, DAY_NS) == [START, START + DAY_NS, START + 2 * DAY_NS]
    assert edges(START, START + DAY_NS, DAY_NS) == [START, START + DAY_NS]
    assert edges(START, START, DAY_NS) == [START, START + DAY_NS]


def test_the_counts_of_the_hours_are_summed_and_those_outside_are_left_out() -> None:
    bounds = edges(START, START + 2 * DAY_NS, DAY_NS)
    hours = {HOURS - 1: 100, HOURS: 1, HOURS + 23: 2, HOURS + 24: 4, HOURS + 48: 100}
    assert [cell.events for cell in cells(coverage(covered=[]), bounds, hours)] == [3, 4]


def test_the_lag_of_a_cell_is_the_median_of_its_hours() -> None:
    bounds = edges(START, START + 2 * DAY_NS, DAY_NS)
    found = cells(coverage(covered=[]), bounds, {}, {HOURS: 5, HOURS + 1: 1, HOURS + 2: 900})
    assert [cell.lag_ns for cell in found] == [5, None]


def test_what_was_collected_and_what_is_missing_fill_the_cells() -> None:
    bounds = edges(START, START + 2 * DAY_NS, DAY_NS)
    at = [START + number * 6 * HOUR_NS for number in range(9)]
    gaps = (
        Gap(GapKind.BEFORE, at[0], at[1]),
        Gap(GapKind.LOST, at[2], at[3]),
        Gap(GapKind.GAP, at[3], at[5]),
        Gap(GapKind.OPEN, at[7], at[8]),
    )
    first, second = cells(coverage(*gaps, covered=[(at[1], at[2]), (at[5], at[7])]), bounds, {})
    part = 6 * HOUR_NS
    assert (first.before_ns, first.collected_ns, first.lost_ns, first.gap_ns) == (part, part, part, part)
    assert (second.before_ns, second.collected_ns, second.lost_ns, second.gap_ns) == (0, 2 * part, 0, 2 * part)
    assert first.whole_ns == DAY_NS


def test_a_cell_is_reconciled_only_if_all_that_was_collected_of_it_was() -> None:
    bounds = edges(START, START + 2 * DAY_NS, DAY_NS)
    covered = [(START, START + 2 * DAY_NS)]
    reconciled = [(START, START + HOUR_NS, 9), (START + HOUR_NS, START + DAY_NS + HOUR_NS, 7)]
    found = cells(coverage(covered=covered, reconciled=reconciled), bounds, {})
    assert [cell.reconciled_ns for cell in found] == [7, None]
