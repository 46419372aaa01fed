"""Which events of a damaged link do not fit their own bodies: a body tells the uuid and the time of its event."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from whenever import Instant

if TYPE_CHECKING:
    from collections.abc import Iterable

NAMED = 2


class BodyRow(NamedTuple):
    """An event as it is stored: its columns uuid and time (nanoseconds since 1970), and its body."""

    uuid: str
    time_ns: int
    body: str | bytes


def explain(rows: Iterable[BodyRow]) -> tuple[str, str] | None:
    """Whether bodies were exchanged or rows were changed, and a sentence that names some of them; None if all fit."""
    apart = [(row, own) for row in rows if (own := _own(row.body)) != (row.uuid, row.time_ns)]
    if not apart:
        return None
    columns, bodies = [(row.uuid, row.time_ns) for row, _ in apart], [own for _, own in apart]
    some = ", ".join(str(row.uuid) for row, _ in apart[:NAMED]) + (", …" if len(apart) > NAMED else "")
    if None not in bodies and sorted(columns, key=repr) == sorted(bodies, key=repr):
        return "reordered", f"The bodies of {len(apart):,} events have changed places: {some}."
    number = "1 event does" if len(apart) == 1 else f"{len(apart):,} events do"
    return "changed", f"The uuid or the time of {number} not fit the body: {some}."


def _own(body: str | bytes) -> tuple[str, int] | None:
    """The uuid and the time that a body tells, or None where it is no event."""
    try:
        event = json.loads(body)
        return str(event["uuid"]), Instant.parse_iso(event["timestamp"]).timestamp(unit="nanosecond")
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
