"""The days before a span: what is new, what is usual, and who is gone."""

from __future__ import annotations

from blocks.store.insight.counted_days import PastDay
from blocks.store.insight.day_counts import PastCounts
from blocks.store.insight.past import OWN_PAST_DAYS, QUIET_DAYS, read_past

APIS = {1: "itemUsage", 2: "audit"}
FIRST = 1000


def day(number: int, stream_id: int = 1, *users: int, country: int = 9) -> PastDay:
    counts = PastCounts(1, dict.fromkeys(users, 1), {country: 1}, {user: {7: 2} for user in users})
    return PastDay(number, stream_id, counts)


def test_countries_are_those_of_the_days_before() -> None:
    past = read_past([day(FIRST - 1, country=3), day(FIRST, country=4)], APIS, FIRST)
    assert past.countries == {3}
    assert read_past([], APIS, FIRST).countries == set()


def test_what_users_take_is_that_of_the_last_days_and_of_item_usages_alone() -> None:
    days = [
        day(FIRST - OWN_PAST_DAYS - 1, 1, 5),
        day(FIRST - OWN_PAST_DAYS, 1, 5),
        day(FIRST - 1, 1, 5),
        day(FIRST, 1, 5),
    ]
    assert read_past([*days, day(FIRST - 1, 2, 5)], APIS, FIRST).taking == {5: {7: 4}}


def test_the_own_past_is_as_long_as_there_are_days() -> None:
    assert read_past([day(FIRST - 3)], APIS, FIRST).own_days(FIRST) == 3
    assert read_past([day(FIRST - 100)], APIS, FIRST).own_days(FIRST) == OWN_PAST_DAYS
    assert read_past([], APIS, FIRST).own_days(FIRST) == 0


def test_a_user_is_quiet_after_so_many_days() -> None:
    after = FIRST + 1
    past = read_past(
        [day(after - QUIET_DAYS, 1, 5), day(after - QUIET_DAYS - 1, 2, 6), day(after - 90, 1, 5, 7, 0)], APIS, FIRST
    )
    assert past.quiet_users([], after) == [(7, after - 90), (6, after - QUIET_DAYS - 1)]
    assert past.quiet_users([7], after) == [(6, after - QUIET_DAYS - 1)]
