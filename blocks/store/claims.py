"""A claim is the right of one run to work on a row: a stream, a window or a forwarding position.

A claim has a fencing number (`fence`), which rises each time the row is claimed, and a time at which it expires. Each
write compares the fence, so a run that has lost its claim changes nothing, whatever the clocks say. The row also
records the process that holds the claim: once that process is known to be dead, its claims are void. If this cannot be
known, the claim expires.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select

from blocks import process_identity
from blocks.process_identity import ProcessIdentity
from blocks.store import claim_expiry

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection, Row, Table

RELEASE_VALUES: dict[str, Any] = {
    "holder": None,
    "claim_expires_ns": None,
    "holder_process": None,
    "claimed_ns": None,
}


@dataclass(frozen=True, slots=True)
class Holder:
    """The holder of a claim: the id of its flow run, host and process id if known, and since when (ns since 1970)."""

    run: str
    host: str | None
    pid: int | None
    since_ns: int | None


def holder_of(row: Row[Any]) -> Holder | None:
    """The holder of the claim on a row; None if no run holds it."""
    if row.holder is None:
        return None
    process = ProcessIdentity.from_text(row.holder_process)
    host, pid = (process.host, process.pid) if process else (None, None)
    return Holder(row.holder, host, pid, row.claimed_ns)


def acquire_values(table: Table, holder: str, now_ns: int) -> dict[str, Any]:
    """The values of the UPDATE that claims a row for the run `holder` in this process."""
    return {
        "holder": holder,
        "holder_process": process_identity.own().as_text(),
        "claimed_ns": now_ns,
        "fence": table.c.fence + 1,
        **renew_values(now_ns),
    }


def renew_values(now_ns: int, wait_ns: int = 0) -> dict[str, Any]:
    """The values of the UPDATE that renews a claim now, for a wait of `wait_ns` and the attempt after it."""
    return {"claim_renewed_ns": now_ns, "claim_expires_ns": claim_expiry.expires_ns(now_ns, wait_ns)}


def next_attempt_ns(claim_expires_ns: int | None, now_ns: int) -> int | None:
    """The latest time at which the run that waits under a claim tries again; None if no run waits."""
    next_ns = None if claim_expires_ns is None else claim_expiry.waits_until_ns(claim_expires_ns)
    return next_ns if next_ns is not None and next_ns > now_ns else None


def is_free(connection: Connection, table: Table, now_ns: int, *of: ColumnElement[bool]) -> ColumnElement[bool]:
    """An SQL condition: a row among those that `of` selects can be claimed, as no run holds it or its claim is void.

    A claim is void once it has expired, or the process that took it is known to be dead.
    """
    return is_unclaimed(table, now_ns) | table.c.holder_process.in_(dead_processes(connection, table, *of))


def is_unclaimed(table: Table, now_ns: int) -> ColumnElement[bool]:
    """An SQL condition: no run holds the row, or its claim has expired."""
    expired = table.c.holder.is_(None) | (table.c.claim_expires_ns < now_ns)
    # A renewal in the future means that the clock was set back since: the expiry time says nothing then.
    return expired | (table.c.claim_renewed_ns > now_ns + claim_expiry.CLAIM_NS)


def is_held(connection: Connection, table: Table, now_ns: int, *of: ColumnElement[bool]) -> ColumnElement[bool]:
    """An SQL condition: a row among those that `of` selects has a valid claim: not expired, its process not dead."""
    by_dead = func.coalesce(table.c.holder_process, "").in_(dead_processes(connection, table, *of))
    return (table.c.claim_expires_ns >= now_ns) & ~by_dead


def dead_processes(connection: Connection, table: Table, *of: ColumnElement[bool]) -> list[str]:
    """The processes that hold claims on rows of a table and are known to be dead.

    The answer stays right while other runs claim rows: a dead process stays dead, and no other has its identity.
    """
    query = select(table.c.holder_process, func.max(table.c.claim_renewed_ns)).where(
        table.c.holder_process.is_not(None), *of
    )
    rows = connection.execute(query.group_by(table.c.holder_process)).all()
    return [process for process, seen_ns in rows if is_dead(process, seen_ns)]


def is_dead(process: str | None, seen_ns: int | None) -> bool:
    """Whether a process (a value of `holder_process`) that renewed its claim last at `seen_ns` is known to be dead."""
    identity = ProcessIdentity.from_text(process)
    return identity is not None and identity.is_known_dead(seen_ns)
