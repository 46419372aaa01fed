"""Sums of counts, and their form in the store."""

from __future__ import annotations

import msgspec
import pytest

from blocks.store.insight import day_counts
from blocks.store.insight.day_counts import DayCounts, add_counts, add_tables, add_up, inner_sum, outer_sum

ONE = DayCounts(events=3, users={1: 2, 2: 1}, taken_actions={1: {7: 2}}, late={0: 3})
TWO = DayCounts(events=1, users={1: 1}, taken_actions={1: {7: 1, 8: 1}, 3: {7: 1}}, late={5: 1})


def test_counts_of_two_days_are_added_and_stay_as_they_are() -> None:
    total = add_up([ONE, TWO])
    assert total.events == 4
    assert total.users == {1: 3, 2: 1}
    assert total.taken_actions == {1: {7: 3, 8: 1}, 3: {7: 1}}
    assert total.late == {0: 3, 5: 1}
    assert DayCounts(events=3, users={1: 2, 2: 1}, taken_actions={1: {7: 2}}, late={0: 3}) == ONE
    assert add_up([]) == DayCounts()


def test_only_some_members_can_be_added() -> None:
    assert add_up([ONE, TWO], ("late",)) == DayCounts(events=4, late={0: 3, 5: 1})


def test_a_table_is_summed_by_either_key() -> None:
    table = {1: {7: 3, 8: 1}, 2: {7: 1}}
    assert inner_sum(table) == {7: 4, 8: 1}
    assert outer_sum(table) == {1: 4, 2: 1}


def test_what_is_added_is_not_shared() -> None:
    into: dict[int, dict[int, int]] = {}
    add_tables(into, TWO.taken_actions)
    add_tables(into, TWO.taken_actions)
    assert TWO.taken_actions == {1: {7: 1, 8: 1}, 3: {7: 1}}
    counts: dict[int, int] = {}
    add_counts(counts, ONE.users)
    add_counts(counts, ONE.users)
    assert (counts, ONE.users) == ({1: 4, 2: 2}, {1: 2, 2: 1})


def test_stored_counts_come_back_whole_or_as_the_part_for_comparisons() -> None:
    data = day_counts.encode(ONE)
    assert day_counts.decode(data) == ONE
    past = day_counts.decode_past(data)
    assert (past.events, past.users, past.countries, past.taken_actions) == (3, {1: 2, 2: 1}, {}, {1: {7: 2}})


@pytest.mark.parametrize("data", [b"", b"\x90", b"\x91\x00", b"text"])
def test_counts_of_another_version_are_an_error(data: bytes) -> None:
    with pytest.raises(msgspec.MsgspecError):
        day_counts.decode(data)
    with pytest.raises(msgspec.MsgspecError):
        day_counts.decode_past(data)
