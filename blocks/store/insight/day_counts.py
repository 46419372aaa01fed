"""The counts of a stream's events in one day, read from `event_index`, and sums of them.

Values are numbers of `index_values`; 0 stands for a member that an event does not have. So a day of 30,000 events is a
few tens of kilobytes, and holds no names.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from sqlalchemy import bindparam, text

from blocks.store.search.members import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sqlalchemy import Connection, TextClause

DAY_NS, HOUR_NS = 86_400 * 10**9, 3600 * 10**9
ABSENT = 0
STREAMS_MAX = 500  # in one statement
VERSION = 1
"""Of the form of stored counts: those of another version are made again. Raise it with each change of DayCounts."""
TAKING = ("reveal", "secure-copy", "export")
"""Actions of item usages that show a secret, or take it out."""
MFA_FAILED = "mfa_failed"
LATE_SECONDS = (60, 300, 3600, 6 * 3600, 86_400)
"""The upper bounds of the classes of lateness; the last class has no bound."""

Counts = dict[int, int]
Table = dict[int, dict[int, int]]


class StreamDay(NamedTuple):
    """A day (since 1970, UTC) of a stream."""

    stream_id: int
    day: int


class DayCounts(msgspec.Struct, array_like=True, tag=VERSION):
    """Numbers of events. A table's outer key is the first member that its name has, the inner key the second.

    `hours` counts actions by hour since 1970. The action of a sign-in attempt is its category, the type of an audit
    event its object type. `taken_actions` counts by user what shows a secret or takes it out (see TAKING). `late`
    counts by class of lateness (see LATE_SECONDS).
    """

    events: int = 0
    users: Counts = msgspec.field(default_factory=dict)
    countries: Counts = msgspec.field(default_factory=dict)
    taken_actions: Table = msgspec.field(default_factory=dict)
    hours: Table = msgspec.field(default_factory=dict)
    action_types: Table = msgspec.field(default_factory=dict)
    failed_users: Counts = msgspec.field(default_factory=dict)
    mfa_users: Counts = msgspec.field(default_factory=dict)
    failed_countries: Counts = msgspec.field(default_factory=dict)
    failed_ips: Counts = msgspec.field(default_factory=dict)
    client_versions: Table = msgspec.field(default_factory=dict)
    systems: Counts = msgspec.field(default_factory=dict)
    vaults: Counts = msgspec.field(default_factory=dict)
    items: Counts = msgspec.field(default_factory=dict)
    late: Counts = msgspec.field(default_factory=dict)


class PastCounts(msgspec.Struct, array_like=True, tag=VERSION):
    """The first members of DayCounts: those that later days are compared with. The others are not decoded."""

    events: int = 0
    users: Counts = msgspec.field(default_factory=dict)
    countries: Counts = msgspec.field(default_factory=dict)
    taken_actions: Table = msgspec.field(default_factory=dict)


_HOUR = f"day * 24 + (time_ns - day * {DAY_NS}) / {HOUR_NS}"
_LATE = "CASE " + " ".join(f"WHEN late_s <= {most} THEN {at}" for at, most in enumerate(LATE_SECONDS)) + " ELSE {} END"
_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "users": ("user_id",),
    "countries": ("country_id",),
    "taken_actions": ("user_id", "action_id"),
    "hours": (_HOUR, "action_id"),
    "action_types": ("action_id", "type_id"),
    "failed_users": ("user_id",),
    "mfa_users": ("user_id",),
    "failed_countries": ("country_id",),
    "failed_ips": ("ip_id",),
    "client_versions": ("client_id", "version_id"),
    "systems": ("os_id",),
    "vaults": ("vault_id",),
    "items": ("item_id",),
    "late": (_LATE.format(len(LATE_SECONDS)),),
}
_ACTIONS = f"AND action_id IN (SELECT id FROM index_values WHERE kind = {Kind.ACTION.value} AND value IN ({{}}))"  # noqa: S608
_ONLY = {
    "taken_actions": _ACTIONS.format(", ".join(f"'{action}'" for action in TAKING)),
    "failed_users": "AND failed",
    "mfa_users": _ACTIONS.format(f"'{MFA_FAILED}'"),
    "failed_countries": "AND failed",
    "failed_ips": "AND failed",
    "systems": "AND os_id IS NOT NULL",
    "vaults": "AND vault_id IS NOT NULL AND type_id IS NULL",
    "items": "AND item_id IS NOT NULL AND type_id IS NULL",
    "client_versions": "AND client_id IS NOT NULL",
}
"""Conditions. Vaults and items are those of item usages, which have no type."""


def _statement(member: str) -> TextClause:
    columns = ", ".join(f"coalesce({column}, {ABSENT})" for column in _COLUMNS[member])
    order = ", ".join(str(place) for place in range(1, len(_COLUMNS[member]) + 1))
    return text(
        f"SELECT {columns}, count(*) FROM event_index "  # noqa: S608 - constants
        "WHERE stream_id IN :streams AND day = :day AND time_ns >= :since AND time_ns < :until "
        f"{_ONLY.get(member, '')} GROUP BY {order}"
    ).bindparams(bindparam("streams", expanding=True))


_STATEMENTS = {member: _statement(member) for member in _COLUMNS}
_ABSENT_MEMBERS = {
    "sign-in": {"taken_actions", "vaults", "items"},
    "itemUsage": {"failed_users", "mfa_users", "failed_countries", "failed_ips"},
    "audit": {
        *("taken_actions", "vaults", "items", "failed_users", "mfa_users", "failed_countries", "failed_ips"),
        *("client_versions", "systems"),
    },
}
"""What an API's events do not have: it is not searched for."""


def count_day(
    connection: Connection,
    api: str,
    day: int,
    stream_ids: Sequence[int],
    between: tuple[int, int] = (-(2**63), 2**63 - 1),
) -> DayCounts:
    """Count the indexed events of some streams of an API in one day (since 1970, UTC), `between` two times.

    There may be STREAMS_MAX streams. The first time is in the span, the second is not.
    """
    parameters = {"streams": stream_ids, "day": day, "since": between[0], "until": between[1]}
    counts = DayCounts()
    for member, statement in _STATEMENTS.items():
        if member in _ABSENT_MEMBERS[api]:
            continue
        rows: Any = connection.execute(statement, parameters)
        setattr(counts, member, _as_table(rows) if len(_COLUMNS[member]) > 1 else dict(rows.all()))
    counts.events = sum(sum(actions.values()) for actions in counts.hours.values())
    return counts


def _as_table(rows: Iterable[tuple[int, int, int]]) -> Table:
    found: Table = {}
    for outer, inner, events in rows:
        found.setdefault(outer, {})[inner] = events
    return found


def add_up(days: Iterable[DayCounts], members: Iterable[str] = tuple(_COLUMNS)) -> DayCounts:
    """The sum of several counts, of all members or of some."""
    total = DayCounts()
    for day in days:
        total.events += day.events
        for member in members:
            into, counts = getattr(total, member), getattr(day, member)
            if len(_COLUMNS[member]) > 1:
                add_tables(into, counts)
            else:
                add_counts(into, counts)
    return total


def add_tables(into: Table, table: Table) -> None:
    """Add the counts of a table to another one."""
    for outer, counts in table.items():
        if outer in into:
            add_counts(into[outer], counts)
        else:
            into[outer] = dict(counts)


def add_counts(into: Counts, counts: Counts) -> None:
    """Add counts to others."""
    if not into:
        into.update(counts)
        return
    get = into.get
    for key, events in counts.items():
        into[key] = get(key, 0) + events


def inner_sum(table: Table) -> Counts:
    """The counts of a table by its inner key."""
    total: Counter[int] = Counter()
    for counts in table.values():
        total.update(counts)
    return dict(total)


def outer_sum(table: Table) -> Counts:
    """The counts of a table by its outer key."""
    return {outer: sum(counts.values()) for outer, counts in table.items()}


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(DayCounts).decode
_decode_past = msgspec.msgpack.Decoder(PastCounts).decode


def encode(counts: DayCounts) -> bytes:
    """Counts as the store has them."""
    return _encode(counts)


def decode(data: bytes) -> DayCounts:
    """Counts from the store. Raises ValueError if they are of another version."""
    return _decode(data)


def decode_past(data: bytes) -> PastCounts:
    """The part of the counts that later days are compared with. Raises ValueError."""
    return _decode_past(data)
