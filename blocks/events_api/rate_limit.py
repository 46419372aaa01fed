"""The rate windows of the Events API: how many requests they still allow, and when the next one is due.

Nothing here knows a store or a clock: who keeps the count hands it in and gets it back. A window is counted in sixty
cells, and a cell counts until the whole of it, and one more, has left the window. So a request may take the length of
a cell longer on its way than another, and still the server never sees more than it allows. That costs 1 to 3 % of it.
A request that took longer counts from the time of its answer: see `is_late` and `count_from_response`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from math import floor

from blocks import settings
from blocks.errors import ThirdPartyConfigError

CELLS = 60
_NS = 10**9
_WINDOW = re.compile(r"([1-9][0-9]{0,8})/([0-9]{1,6}(?:\.[0-9]{1,3})?)", re.ASCII)

SpentRequests = dict[str, dict[int, int]]
"""Requests that were granted: by window, by cell."""


@dataclass(frozen=True, slots=True)
class RateWindow:
    """At most so many requests in any so many seconds."""

    requests: int
    seconds: float

    @property
    def key(self) -> str:
        return f"{self.seconds:g}"

    @property
    def cell_ns(self) -> int:
        return max(round(self.seconds * _NS / CELLS), 1)


DOCUMENTED = (RateWindow(600, 60.0), RateWindow(30_000, 3600.0))
"""What 1Password allows one account."""


@dataclass(frozen=True, slots=True)
class Grant:
    """`count` requests may be made at `at_ns`, which is now. If it is 0, try again in `wait_ns`."""

    count: int
    wait_ns: int = 0
    at_ns: int = field(default=0, compare=False)


def parse(text: str) -> tuple[RateWindow, ...]:
    """Windows as a person writes them: `600/60 30000/3600`. Raises ValueError."""
    found = [_WINDOW.fullmatch(part) for part in text.split()]
    windows = tuple(RateWindow(int(one[1]), float(one[2])) for one in found if one and float(one[2]))
    if not windows or len(windows) < len(found):
        raise ValueError(f"{text!r} is not REQUESTS/SECONDS, once or more")
    return windows


def configured() -> tuple[RateWindow, ...] | None:
    """The rate windows that are set, none of them for `off`; None where nothing is set.

    Raises ThirdPartyConfigError where the setting is neither.
    """
    named = settings.read("RATE_LIMITS")
    if named is None or named == "off":
        return None if named is None else ()
    try:
        return parse(named)
    except ValueError as error:
        raise ThirdPartyConfigError(
            f"{settings.PREFIX}RATE_LIMITS: {error}.", hint="Write `600/60 30000/3600`, or `off`.", code="setting"
        ) from None


def grant(
    spent: SpentRequests, windows: tuple[RateWindow, ...], now_ns: int, count: int, share: float = 1.0
) -> tuple[Grant, SpentRequests]:
    """Up to `count` requests, and what is spent then.

    `share`: the part of each window that all together may have spent before this one gets nothing more. A caller
    with a smaller share leaves the rest to the others, and makes way for them.
    """
    cells = {window: _counted(window, spent.get(window.key, {}), now_ns) for window in windows}
    free = [_allowed(window, share) - sum(cells[window].values()) for window in windows]
    count = max(min([count, *free]), 0)
    if not count:
        wait_ns = max(_wait(window, cells[window], now_ns, share) for window in windows)
        return Grant(0, wait_ns, now_ns), {window.key: cells[window] for window in windows}
    for window, counted in cells.items():
        here = _cell(window, now_ns)
        counted[here] = counted.get(here, 0) + count
    return Grant(count, 0, now_ns), {window.key: cells[window] for window in windows}


def count_spent(window: RateWindow, cells: dict[int, int], now_ns: int) -> int:
    """How many of the window's requests are spent now."""
    return sum(_counted(window, cells, now_ns).values())


def is_late(windows: tuple[RateWindow, ...], granted_ns: int, answered_ns: int) -> bool:
    """True if the server may have counted a request so long after its grant that the count must be corrected."""
    return any(_slipped(window, granted_ns, answered_ns) for window in windows)


def count_from_response(
    spent: SpentRequests, windows: tuple[RateWindow, ...], granted_ns: int, answered_ns: int
) -> SpentRequests:
    """What is spent where one request counts not from when it was granted but from when it was answered."""
    cells = {window: _counted(window, spent.get(window.key, {}), answered_ns) for window in windows}
    for window, counted in cells.items():
        if _slipped(window, granted_ns, answered_ns):
            before, here = _cell(window, granted_ns), _cell(window, answered_ns)
            if counted.get(before):
                counted[before] -= 1
            counted[here] = counted.get(here, 0) + 1
    return {window.key: {cell: count for cell, count in cells[window].items() if count} for window in windows}


def _slipped(window: RateWindow, granted_ns: int, answered_ns: int) -> bool:
    """Whether it is further on than the one cell that each request may take."""
    return _cell(window, answered_ns) > _cell(window, granted_ns) + 1


def _cell(window: RateWindow, now_ns: int) -> int:
    return now_ns // window.cell_ns


def _counted(window: RateWindow, cells: dict[int, int], now_ns: int) -> dict[int, int]:
    """The cells that still count. What another clock, or this one before it was set back, calls later is now."""
    here = _cell(window, now_ns)
    kept: dict[int, int] = {}
    for cell, count in cells.items():
        if cell >= here - CELLS - 1:
            kept[min(cell, here)] = kept.get(min(cell, here), 0) + count
    return kept


def _wait(window: RateWindow, cells: dict[int, int], now_ns: int, share: float) -> int:
    """Until enough cells no longer count for one request to be free."""
    over = sum(cells.values()) - _allowed(window, share) + 1
    for cell in sorted(cells):
        if over <= 0:
            break
        over -= cells[cell]
        if over <= 0:
            return max((cell + CELLS + 2) * window.cell_ns - now_ns, 1)
    return 0


def _allowed(window: RateWindow, share: float) -> int:
    return max(floor(window.requests * share), 1)
