"""What the days before a span have: for what is new, what is unusual, and who is not there any more."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from blocks.store.insight.day_counts import ABSENT, add_tables

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from blocks.store.insight.counted_days import PastDay
    from blocks.store.insight.day_counts import Table

PAST_DAYS = 120
"""As long as 1Password keeps events. A country is new if no event of these days before the span came from it."""
OWN_PAST_DAYS = 30
"""The days before the span with which a user's reveals, copies and exports are compared."""
QUIET_DAYS = 30
"""A user who did nothing for so long is quiet."""


@dataclass(slots=True)
class Past:
    """What the days before a span have. `last_days` also has the days of the span; `taking` has item usages alone."""

    countries: set[int] = field(default_factory=set)
    last_days: dict[int, int] = field(default_factory=dict)
    taking: Table = field(default_factory=dict)
    first_day: int | None = None

    def own_days(self, first: int) -> int:
        """How many of the OWN_PAST_DAYS days before `first` the store has events of."""
        return 0 if self.first_day is None else min(first - self.first_day, OWN_PAST_DAYS)

    def quiet_users(self, present: Iterable[int], after: int) -> list[tuple[int, int]]:
        """Users without an event in the QUIET_DAYS days before `after`, with their last day; the longest absent first.

        `present` are those with an event in the span, whose last day may not be counted yet.
        """
        here = {ABSENT, *present}
        quiet = [(user, day) for user, day in self.last_days.items() if day < after - QUIET_DAYS and user not in here]
        return sorted(quiet, key=lambda one: (one[1], one[0]))


def read_past(days: Iterable[PastDay], apis: Mapping[int, str], first: int) -> Past:
    """What the days before `first` have. The last day of each user is that of any day, the span's included."""
    past = Past()
    for day in sorted(days, key=lambda one: one.day):
        past.last_days.update(dict.fromkeys(day.counts.users, day.day))
        if day.day >= first:
            continue
        past.first_day = day.day if past.first_day is None else min(past.first_day, day.day)
        past.countries |= day.counts.countries.keys()
        if apis.get(day.stream_id) == "itemUsage" and day.day >= first - OWN_PAST_DAYS:
            add_tables(past.taking, day.counts.taken_actions)
    return past
