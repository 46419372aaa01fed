"""The records of the page Insight.

A figure holds the value by which the events behind it can be searched, so that each number can lead to its events.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from blocks.store.insight.day_counts import DAY_NS, HOUR_NS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from blocks.store.search.results import EventHit

HOURLY_MAX_NS = 3 * DAY_NS
"""A longer span is shown by the day."""


class Figure(NamedTuple):
    """A value and the number of its events. `value` is empty for events that do not have the member."""

    value: str
    events: int


class Country(NamedTuple):
    """`value` is the code or the name that events have; `failed` are sign-in attempts that failed."""

    value: str
    events: int
    failed: int
    is_new: bool


class ClientVersion(NamedTuple):
    client: str
    version: str
    events: int


class CodePair(NamedTuple):
    """Two codes of events, such as an object type and an action, or a category and a type."""

    kind: str
    action: str
    events: int


class Outcomes(NamedTuple):
    """Sign-in attempts from `start_ns` on, of one hour or one day."""

    start_ns: int
    succeeded: int
    failed: int


class Activity(NamedTuple):
    """Events from `start_ns` on, by action: the counts are in the order of the list's actions."""

    start_ns: int
    counts: tuple[int, ...]


class TakenSecrets(NamedTuple):
    """A user's reveals, copies and exports in the span, and as many per day now and in the days before."""

    user: str
    counts: tuple[int, ...]
    per_day: float
    past_per_day: float

    @property
    def events(self) -> int:
        return sum(self.counts)

    @property
    def factor(self) -> float | None:
        """How many times as much as before; None if there is nothing to compare with."""
        return self.per_day / self.past_per_day if self.past_per_day else None


class QuietUser(NamedTuple):
    """A user who did nothing for QUIET_DAYS; `last_day` (since 1970, UTC) is the last with an event."""

    user: str
    last_day: int


class ChangeList(NamedTuple):
    """The newest changes. `is_cut`: the time for the search was over before all of the span was searched."""

    events: Sequence[EventHit]
    is_cut: bool


@dataclass(frozen=True, slots=True)
class InsightQuery:
    """From `since_ns` to before `until_ns`, of one source or of all."""

    since_ns: int
    until_ns: int
    source_id: str | None = None

    @property
    def days(self) -> float:
        return max(self.until_ns - self.since_ns, 1) / DAY_NS

    @property
    def bucket_ns(self) -> int:
        return HOUR_NS if self.until_ns - self.since_ns <= HOURLY_MAX_NS else DAY_NS


@dataclass(frozen=True, slots=True)
class SignIns:
    """Sign-in attempts: how they ended, and why those failed that did."""

    outcomes: Sequence[Outcomes]
    succeeded: int
    failed: int
    reasons: Sequence[CodePair]
    failed_users: Sequence[Figure]
    failed_ips: Sequence[Figure]
    mfa_reasons: Sequence[Figure]
    mfa_users: Sequence[Figure]


@dataclass(frozen=True, slots=True)
class ItemUsages:
    """Item usages. `actions` are in the order of `series`."""

    actions: Sequence[Figure]
    series: Sequence[Activity]
    vaults: Sequence[Figure]
    items: Sequence[Figure]
    users: Sequence[Figure]
    taken: Sequence[TakenSecrets]


@dataclass(frozen=True, slots=True)
class Report:
    """All figures of a span. `missing` events are stored but not counted; `past_missing` days of the past likewise."""

    query: InsightQuery
    events: Mapping[str, int]
    sign_ins: SignIns
    item_usages: ItemUsages
    audits: Sequence[CodePair]
    audit_users: Sequence[Figure]
    countries: Sequence[Country]
    clients: Sequence[ClientVersion]
    systems: Sequence[Figure]
    quiet_users: Sequence[QuietUser]
    quiet_count: int
    late: Mapping[str, tuple[int, ...]]
    security: ChangeList
    access: ChangeList
    missing: int
    past_missing: int
