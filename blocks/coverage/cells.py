"""The cells of a coverage report: days or hours, with counts and with what was collected of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from blocks.coverage.gaps import HOUR_NS, GapKind
from blocks.coverage.intervals import lengths, lowest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from blocks.coverage.gaps import Coverage


@dataclass(frozen=True, slots=True)
class Cell:
    """A day or an hour of one API, in UTC, from `start_ns` to before `end_ns`; lengths of time are nanoseconds.

    `reconciled_ns` is since when all that was collected of it is known to be what the server has: the oldest of the
    newest comparisons of its parts. `lag_ns`: see `blocks.store.coverage_record.lags`; None if it was not requested.
    """

    start_ns: int
    end_ns: int
    events: int
    collected_ns: int
    gap_ns: int
    lost_ns: int
    before_ns: int
    reconciled_ns: int | None
    lag_ns: int | None = None

    @property
    def whole_ns(self) -> int:
        return self.end_ns - self.start_ns


def edges(since_ns: int, until_ns: int, step_ns: int) -> list[int]:
    """The bounds of the cells that hold the time from `since_ns` to before `until_ns`."""
    first, last = since_ns // step_ns, -(-until_ns // step_ns)
    return [number * step_ns for number in range(first, max(last, first + 1) + 1)]


def cells(
    coverage: Coverage, bounds: list[int], hours: Mapping[int, int], lags: Mapping[int, int] | None = None
) -> list[Cell]:
    """The cells between `bounds` (whole hours), with the counts and the lags of the hours since 1970."""
    events = _sums(hours, bounds)
    middle = _medians(lags or {}, bounds)
    collected = lengths(coverage.covered, bounds)
    of_kind = {
        kind: lengths([(gap.start_ns, gap.end_ns) for gap in coverage.gaps if gap.kind is kind], bounds)
        for kind in GapKind
    }
    reconciled = lowest(coverage.reconciled, coverage.covered, bounds)
    return [
        Cell(
            start_ns=bounds[number],
            end_ns=bounds[number + 1],
            events=events[number],
            collected_ns=collected[number],
            gap_ns=of_kind[GapKind.GAP][number] + of_kind[GapKind.OPEN][number],
            lost_ns=of_kind[GapKind.LOST][number],
            before_ns=of_kind[GapKind.BEFORE][number],
            reconciled_ns=reconciled[number],
            lag_ns=middle[number],
        )
        for number in range(len(bounds) - 1)
    ]


def _sums(hours: Mapping[int, int], bounds: list[int]) -> list[int]:
    found = [0] * (len(bounds) - 1)
    for hour, events in hours.items():
        if (number := _number(hour, bounds)) is not None:
            found[number] += events
    return found


def _medians(lags: Mapping[int, int], bounds: list[int]) -> list[int | None]:
    of_cell: dict[int, list[int]] = {}
    for hour, lag_ns in lags.items():
        if (number := _number(hour, bounds)) is not None:
            of_cell.setdefault(number, []).append(lag_ns)
    return [
        sorted(of_cell[number])[len(of_cell[number]) // 2] if number in of_cell else None
        for number in range(len(bounds) - 1)
    ]


def _number(hour: int, bounds: list[int]) -> int | None:
    at = hour * HOUR_NS
    return (at - bounds[0]) // (bounds[1] - bounds[0]) if bounds[0] <= at < bounds[-1] else None
