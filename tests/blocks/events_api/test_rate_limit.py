"""The rate windows, against a server's own count of the requests in any window of time."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from heapq import heappop, heappush

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.events_api.rate_limit import (
    CELLS,
    DOCUMENTED,
    Grant,
    RateWindow,
    SpentRequests,
    count_from_response,
    grant,
    is_late,
    parse,
)

S = 10**9
NOW = 1_800_000_000 * S + 123_456_789


@dataclass
class Server:
    """Counts requests as a server does that allows so many in any so many seconds, exactly."""

    windows: tuple[RateWindow, ...]
    times: list[int] = field(default_factory=list)

    def come(self, time_ns: int) -> None:
        self.times.append(time_ns)

    def most(self, window: RateWindow) -> int:
        """The most that came within any span of the window's length."""
        times = sorted(self.times)
        span = int(window.seconds * S)
        return max((bisect_right(times, at + span - 1) - number for number, at in enumerate(times)), default=0)


def at_full_speed(windows: tuple[RateWindow, ...], seconds: float, *, share: float = 1.0, batch: int = 1) -> Server:
    server, spent, now_ns = Server(windows), SpentRequests(), NOW
    while now_ns < NOW + seconds * S:
        given_, spent = grant(spent, windows, now_ns, batch, share)
        for _ in range(given_.count):
            server.come(now_ns)
        now_ns += max(given_.wait_ns, 500_000_000)
    return server


def test_the_documented_windows_are_used_and_never_passed() -> None:
    server = at_full_speed(DOCUMENTED, 2 * 3600, batch=10)
    minute, hour = DOCUMENTED
    assert server.most(minute) <= minute.requests
    assert server.most(hour) <= hour.requests
    assert len(server.times) >= 0.95 * 2 * hour.requests
    within = [time for time in server.times if time < NOW + 40 * 60 * S]
    assert len(within) >= 0.95 * 40 * minute.requests


def test_a_share_leaves_the_rest_to_others_and_gives_way_to_what_they_take() -> None:
    windows = (RateWindow(100, 10),)
    given_, spent = grant({}, windows, NOW, 1000, 0.8)
    assert given_ == Grant(80)
    assert grant(spent, windows, NOW, 1, 0.8)[0].count == 0
    given_, spent = grant(spent, windows, NOW, 1000)
    assert given_ == Grant(20)
    _, spent = grant({}, windows, NOW, 75)
    assert grant(spent, windows, NOW, 1000, 0.8)[0] == Grant(5)


@given(
    windows=st.lists(
        st.builds(RateWindow, st.integers(1, 50), st.sampled_from([0.6, 3.0, 60.0])),
        min_size=1,
        max_size=2,
        unique=True,
    ),
    steps=st.lists(
        st.tuples(st.integers(0, 2 * S), st.integers(1, 9), st.sampled_from([1.0, 0.5])), min_size=1, max_size=120
    ),
    delays=st.lists(st.floats(0, 1), min_size=1, max_size=20),
)
def test_no_order_of_asking_passes_a_window_whatever_the_requests_take_on_their_way(
    windows: list[RateWindow], steps: list[tuple[int, int, float]], delays: list[float]
) -> None:
    chosen = tuple(windows)
    slack = min(window.cell_ns for window in chosen)
    server, spent, now_ns = Server(chosen), SpentRequests(), NOW
    for number, (after, wanted, share) in enumerate(steps):
        now_ns += after
        given_, spent = grant(spent, chosen, now_ns, wanted, share)
        for _ in range(given_.count):
            server.come(now_ns + int(delays[number % len(delays)] * slack))
    for window in chosen:
        assert server.most(window) <= window.requests


@given(
    windows=st.lists(
        st.builds(RateWindow, st.integers(1, 20), st.sampled_from([0.6, 3.0, 60.0])),
        min_size=1,
        max_size=2,
        unique=True,
    ),
    ways=st.lists(st.tuples(st.floats(0, 0.9), st.floats(0, 1)), min_size=1, max_size=120),
)
def test_a_request_that_took_long_counts_from_its_answer_and_no_window_is_passed(
    windows: list[RateWindow], ways: list[tuple[float, float]]
) -> None:
    """At full speed; the ways are far longer than a cell, and the server counts a request somewhere on its way."""
    chosen = tuple(windows)
    longest_ns = min(int(window.seconds * S) for window in chosen)
    server, spent, now_ns = Server(chosen), SpentRequests(), NOW
    under_way: list[tuple[int, int]] = []
    for way, counted in ways:
        while True:
            while under_way and under_way[0][0] <= now_ns:
                answered_ns, granted_ns = heappop(under_way)
                if is_late(chosen, granted_ns, answered_ns):
                    spent = count_from_response(spent, chosen, granted_ns, answered_ns)
            given_, spent = grant(spent, chosen, now_ns, 1)
            if given_.count:
                break
            now_ns += given_.wait_ns
        assert given_.at_ns == now_ns
        server.come(now_ns + int(way * counted * longest_ns))
        heappush(under_way, (now_ns + int(way * longest_ns), now_ns))
    for window in chosen:
        assert server.most(window) <= window.requests


def test_a_request_is_moved_and_not_counted_twice_and_a_quick_one_is_left_alone() -> None:
    windows = (RateWindow(3, 6.0),)
    _, spent = grant({}, windows, NOW, 2)
    assert not is_late(windows, NOW, NOW + windows[0].cell_ns)
    assert is_late(windows, NOW, NOW + 2 * windows[0].cell_ns)
    spent = count_from_response(spent, windows, NOW, NOW + S)
    assert grant(spent, windows, NOW + S, 9)[0] == Grant(1)
    spent = count_from_response(spent, windows, NOW, NOW + S)
    assert grant(spent, windows, NOW + int(6.5 * S), 9)[0] == Grant(1), "both count from a second later"
    assert grant(spent, windows, NOW + int(7.5 * S), 9)[0] == Grant(3)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, S)), max_size=60), st.integers(1, 20))
def test_a_request_is_granted_after_the_returned_wait_and_not_before(
    taken: list[tuple[int, int]], requests: int
) -> None:
    windows, spent, now_ns = (RateWindow(requests, 6.0), RateWindow(3 * requests, 60.0)), SpentRequests(), NOW
    for wanted, after in taken:
        now_ns += after
        _, spent = grant(spent, windows, now_ns, wanted)
    given_, spent = grant(spent, windows, now_ns, 1)
    if not given_.count:
        assert grant(spent, windows, now_ns + given_.wait_ns - 1, 1)[0].count == 0
        assert grant(spent, windows, now_ns + given_.wait_ns, 1)[0].count == 1


def test_a_clock_that_was_ahead_delays_requests_by_one_window_at_most() -> None:
    windows = (RateWindow(10, 60),)
    _, spent = grant({}, windows, NOW + 86_400 * S, 10)
    given_, spent = grant(spent, windows, NOW, 1)
    assert given_.count == 0
    assert given_.wait_ns <= 62 * S
    assert grant(spent, windows, NOW + given_.wait_ns, 1)[0].count == 1


def test_what_is_kept_stays_small() -> None:
    spent = SpentRequests()
    for second in range(4000):
        _, spent = grant(spent, DOCUMENTED, NOW + second * S, 8)
    assert all(len(cells) <= CELLS + 2 for cells in spent.values())


def test_a_smaller_window_than_one_share_still_gives_one() -> None:
    assert grant({}, (RateWindow(1, 1),), NOW, 5, 0.1)[0] == Grant(1)


def test_windows_are_written_as_requests_and_seconds() -> None:
    assert parse("600/60 30000/3600") == DOCUMENTED
    assert parse("5/0.5") == (RateWindow(5, 0.5),)


@pytest.mark.parametrize("text", ["", "600", "600/", "/60", "0/60", "600/0", "600/60;30000/3600", "-1/60", "6e2/60"])
def test_what_are_no_windows_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not REQUESTS/SECONDS"):
        parse(text)
