"""Which events of a damaged link do not fit their own bodies: a body has the uuid and the time of its event."""

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
    mismatched = [(row, identity) for row in rows if (identity := _identity(row.body)) != (row.uuid, row.time_ns)]
    if not mismatched:
        return None
    columns, bodies = [(row.uuid, row.time_ns) for row, _ in mismatched], [identity for _, identity in mismatched]
    some = ", ".join(str(row.uuid) for row, _ in mismatched[:NAMED]) + (", …" if len(mismatched) > NAMED else "")
    if None not in bodies and sorted(columns, key=repr) == sorted(bodies, key=repr):
        return "reordered", f"The bodies of {len(mismatched):,} events have changed places: {some}."
    number = "1 event does" if len(mismatched) == 1 else f"{len(mismatched):,} events do"
    return "changed", f"The uuid or the time of {number} not fit the body: {some}."


def _identity(body: str | bytes) -> tuple[str, int] | None:
    """The uuid and the time in a body; None if it is no event."""
    try:
        event = json.loads(body)
        return str(event["uuid"]), Instant.parse_iso(event["timestamp"]).timestamp(unit="nanosecond")
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
