"""The days on which there are events, newest first. The indexes by member begin with the day."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

DAY_NS = 86_400 * 10**9
_BATCH = 64


def day_of(time_ns: int) -> int:
    """The day of a time (nanoseconds since 1970), counted from 1970 in UTC."""
    return time_ns // DAY_NS


def between(connection: Connection, since_ns: int, until_ns: int) -> Iterator[int]:
    """The days that have events from `since_ns` to before `until_ns`, newest first: one look into an index for each."""
    values = {"before_ns": until_ns, "since_ns": since_ns, "most": _BATCH}
    while True:
        found = [row[0] for row in connection.execute(_DAYS, values) if row[0] is not None]
        yield from found
        if len(found) < _BATCH:
            return
        values["before_ns"] = found[-1] * DAY_NS


_NEWEST = "SELECT max(time_ns) FROM event_index WHERE time_ns < {} AND time_ns >= :since_ns"
_FLOOR = f"(({{0}} - (({{0}} % {DAY_NS}) + {DAY_NS}) % {DAY_NS}))"  # SQL's remainder of a negative number is negative
_DAYS = text(
    f"WITH RECURSIVE d (time_ns, n) AS (SELECT ({_NEWEST.format(':before_ns')}), 1 UNION ALL "  # noqa: S608 - constants
    f"SELECT ({_NEWEST.format(_FLOOR.format('d.time_ns'))}), n + 1 FROM d WHERE d.time_ns IS NOT NULL AND n < :most) "
    f"SELECT {_FLOOR.format('time_ns')} / {DAY_NS} FROM d"
)
