"""Several at work at once, done in their order, and what is announced when."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.errors import FirstPartyGenericError
from blocks.siem.delivery import ordered_pool
from blocks.siem.delivery.ordered_pool import OrderedPool

if TYPE_CHECKING:
    from collections.abc import Sequence

SECONDS = 60  # of patience, where something is wrong


class Log:
    """What a pump announces, and what is at work."""

    def __init__(self) -> None:
        self.announced: list[tuple[int | None, list[int]]] = []
        self.begun: list[int] = []

    def announce(self, done: tuple[int, int] | None, under_way: Sequence[int]) -> None:
        assert done is None or done[1] == done[0] * 10
        self.announced.append((done and done[0], list(under_way)))

    def work(self, item: int) -> int:
        assert item in self.announced[-1][1] or any(item in under_way for _, under_way in self.announced)
        self.begun.append(item)
        return item * 10


def test_all_items_are_done_in_their_order_and_announced_before_they_begin() -> None:
    log = Log()
    OrderedPool(log.work, log.announce, 2).process(iter([1, 2, 3, 4]))
    assert log.announced == [(None, [1, 2]), (1, [2, 3]), (2, [3, 4]), (3, [4]), (4, [])]
    assert sorted(log.begun) == [1, 2, 3, 4]


def test_nothing_is_announced_of_nothing() -> None:
    log = Log()
    OrderedPool(log.work, log.announce, 4).process(iter([]))
    assert log.announced == []


def test_so_many_are_at_work_at_once() -> None:
    """They meet: each waits for the others, and none could end alone."""
    meeting = threading.Barrier(3, timeout=SECONDS)

    def work(item: int) -> int:
        meeting.wait()
        return item * 10

    log = Log()
    OrderedPool(work, log.announce, 3).process(iter(range(1, 7)))
    assert [done for done, _ in log.announced] == [None, 1, 2, 3, 4, 5, 6]


def test_what_is_done_early_waits_for_those_before_it() -> None:
    later_is_done = threading.Event()

    def work(item: int) -> int:
        if item == 1:
            assert later_is_done.wait(SECONDS)
        else:
            later_is_done.set()
        return item * 10

    log = Log()
    OrderedPool(work, log.announce, 2).process(iter([1, 2]))
    assert log.announced == [(None, [1, 2]), (1, [2]), (2, [])]


@pytest.mark.parametrize("failing", [1, 2, 3])
def test_behind_a_failed_one_nothing_is_done(failing: int) -> None:
    all_begun = threading.Barrier(3, timeout=SECONDS)

    def work(item: int) -> int:
        if item <= 3:
            all_begun.wait()
        if item == failing:
            raise ValueError(item)
        return item * 10

    log = Log()
    with pytest.raises(ValueError, match=str(failing)):
        OrderedPool(work, log.announce, 3).process(iter(range(1, 9)))
    assert [done for done, _ in log.announced] == [None, *range(1, failing)]


def test_of_two_that_fail_the_first_one_is_raised() -> None:
    def work(item: int) -> int:
        raise ValueError(item)

    log = Log()
    with pytest.raises(ValueError, match="1"):
        OrderedPool(work, log.announce, 3).process(iter([1, 2, 3]))
    assert [done for done, _ in log.announced] == [None]


def test_items_behind_a_failed_one_end_and_see_that_it_failed() -> None:
    ended: list[int] = []
    began = threading.Event()

    def work(item: int) -> int:
        if item == 1:
            assert began.wait(SECONDS)
            raise ValueError(item)
        began.set()
        assert own.failed.wait(SECONDS)
        ended.append(item)
        return item * 10

    log = Log()
    own: OrderedPool[int, int] = OrderedPool(work, log.announce, 2)
    with pytest.raises(ValueError, match="1"):
        own.process(iter([1, 2]))
    assert ended == [2]


def test_what_was_done_behind_a_failed_one_is_left_with_its_outcome() -> None:
    all_begun = threading.Barrier(4, timeout=SECONDS)

    def work(item: int) -> int:
        all_begun.wait()
        if item in {2, 3}:
            raise ValueError(item)
        return item * 10

    log, left = Log(), []
    with pytest.raises(ValueError, match="2"):
        OrderedPool(work, log.announce, 4, on_failure=left.extend).process(iter([1, 2, 3, 4]))
    assert [done for done, _ in log.announced] == [None, 1]
    assert left == [(4, 40)]


def test_what_could_not_be_announced_is_left() -> None:
    """All three are done by then: the one whose step failed, and those behind it."""
    all_begun = threading.Barrier(3, timeout=SECONDS)
    left: list[tuple[int, int]] = []

    def work(item: int) -> int:
        all_begun.wait()
        return item * 10

    def announce(done: tuple[int, int] | None, _: Sequence[int]) -> None:
        if done is not None:
            raise LookupError

    with pytest.raises(LookupError):
        OrderedPool(work, announce, 3, on_failure=left.extend).process(iter([1, 2, 3]))
    assert left == [(1, 10), (2, 20), (3, 30)]


def test_a_beat_that_fails_while_others_end_hides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ordered_pool, "HEARTBEAT_SECONDS", 0.001)
    began, beaten, log, left = threading.Event(), threading.Event(), Log(), []

    def work(item: int) -> int:
        if item == 1:
            assert began.wait(SECONDS)
            raise ValueError(item)
        began.set()
        assert beaten.wait(SECONDS)
        return item * 10

    def beat() -> None:
        if own.failed.is_set():
            beaten.set()
            raise FirstPartyGenericError("The store did not answer.")

    own: OrderedPool[int, int] = OrderedPool(work, log.announce, 2, beat, left.extend)
    with pytest.raises(ValueError, match="1"):
        own.process(iter([1, 2]))
    assert left == [(2, 20)]


def test_where_all_is_well_nothing_is_left() -> None:
    log, left = Log(), []
    OrderedPool(log.work, log.announce, 4, on_failure=left.extend).process(iter([1, 2, 3, 4]))
    assert left == []


def test_it_beats_while_the_first_one_is_at_work_and_while_others_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A claim must not lapse then, since another run would send the same."""
    monkeypatch.setattr(ordered_pool, "HEARTBEAT_SECONDS", 0.001)
    beats = {1: threading.Event(), 2: threading.Event()}
    phase = 1
    ended: list[int] = []

    def beat() -> None:
        beats[phase].set()

    def work(item: int) -> int:
        nonlocal phase
        if item == 1:
            assert beats[1].wait(SECONDS)
            raise ValueError(item)
        assert own.failed.wait(SECONDS)
        phase = 2
        assert beats[2].wait(SECONDS)
        ended.append(item)
        return item * 10

    log = Log()
    own: OrderedPool[int, int] = OrderedPool(work, log.announce, 2, beat)
    with pytest.raises(ValueError, match="1"):
        own.process(iter([1, 2]))
    assert ended == [2]


def test_a_stopped_pool_finishes_what_was_begun() -> None:
    log = Log()
    OrderedPool(log.work, log.announce, 2).process(iter(range(1, 9)), until=lambda: len(log.announced) >= 2)
    assert log.announced == [(None, [1, 2]), (1, [2, 3]), (2, [3]), (3, [])]


def test_a_pool_stopped_before_it_began_does_nothing() -> None:
    log = Log()
    OrderedPool(log.work, log.announce, 2).process(iter([1, 2]), until=lambda: True)
    assert (log.announced, log.begun) == ([], [])


def test_with_care_the_first_one_goes_alone() -> None:
    log = Log()
    OrderedPool(log.work, log.announce, 3).process(iter([1, 2, 3, 4]), first_alone=True)
    assert log.announced == [(None, [1]), (1, [2, 3, 4]), (2, [3, 4]), (3, [4]), (4, [])]


def test_what_cannot_be_announced_does_not_begin() -> None:
    def announce(_: object, __: object) -> None:
        raise LookupError

    log = Log()
    with pytest.raises(LookupError):
        OrderedPool(log.work, announce, 3).process(iter([1, 2, 3]))
    assert log.begun == []


@given(st.integers(1, 6), st.lists(st.booleans(), max_size=30), st.booleans())
def test_it_moves_over_an_unbroken_range_alone(parallel: int, fine: list[bool], careful: bool) -> None:
    log = Log()

    def work(item: int) -> int:
        if not fine[item]:
            raise ValueError(item)
        return log.work(item)

    first_failed = fine.index(False) if False in fine else len(fine)
    failed: list[int] = []
    try:
        OrderedPool(work, log.announce, parallel).process(iter(range(len(fine))), first_alone=careful)
    except ValueError as error:
        failed += error.args
    assert failed == [first_failed][: len(fine) - first_failed]
    assert [done for done, _ in log.announced if done is not None] == list(range(first_failed))
    assert all(len(under_way) <= parallel for _, under_way in log.announced)
    reached = 0
    for done, under_way in log.announced:
        reached = reached if done is None else done + 1
        assert under_way == list(range(reached, reached + len(under_way))), (
            "what is on its way begins behind what is done"
        )


def test_the_threads_of_a_pool_share_two_heaps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MALLOC_ARENA_MAX", raising=False)
    assert _heap_options(monkeypatch) == [(-8, 2)]  # M_ARENA_MAX


def test_the_number_of_heaps_in_the_environment_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MALLOC_ARENA_MAX", "4")
    assert _heap_options(monkeypatch) == []


def test_another_c_library_has_no_number_of_heaps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MALLOC_ARENA_MAX", raising=False)
    monkeypatch.setattr("ctypes.CDLL", lambda _: object())
    OrderedPool[int, int](lambda item: item, lambda _done, _in_flight: None, 1).process(iter([1]))


def _heap_options(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """What a pool sets with glibc's mallopt."""
    options: list[tuple[int, int]] = []
    library = SimpleNamespace(mallopt=lambda name, value: options.append((name, value)))
    monkeypatch.setattr("ctypes.CDLL", lambda _: library)
    monkeypatch.setattr("sys.platform", "linux")
    OrderedPool[int, int](lambda item: item, lambda _done, _in_flight: None, 1).process(iter([1]))
    return options
