"""A claim: the right to work on a row, be it a stream, a window or a forward's position. One logic for all three.

A claim is a number (the fence) that rises with each taking, and a time at which it expires. Each write names the fence
that it was made under, so a run whose claim was taken away changes nothing, whatever the clocks say. The process that
took the claim is recorded too: once it is known to be dead, its claims hold nothing back. Where that cannot be known,
the claim expires.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select

from blocks import process_identity
from blocks.process_identity import ProcessIdentity

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection, Row, Table

LEASE_NS = 240 * 10**9  # longer than one request and one commit may take, shorter than a tick

RELEASE_VALUES: dict[str, Any] = {
    "holder": None,
    "claim_expires_ns": None,
    "holder_process": None,
    "claimed_ns": None,
}


@dataclass(frozen=True, slots=True)
class Holder:
    """Who has a claim: the id of the flow run, its host and process id as far as known, and since when (ns)."""

    run: str
    host: str | None
    pid: int | None
    since_ns: int | None


def holder_of(row: Row[Any]) -> Holder | None:
    """Who has the claim on a row; None where no run has it."""
    if row.holder is None:
        return None
    process = ProcessIdentity.from_text(row.holder_process)
    host, pid = (process.host, process.pid) if process else (None, None)
    return Holder(row.holder, host, pid, row.claimed_ns)


def acquire_values(table: Table, holder: str, now_ns: int) -> dict[str, Any]:
    """What the UPDATE of a row writes that takes it for the run `holder` in this process."""
    return {
        "holder": holder,
        "holder_process": process_identity.own().as_text(),
        "claimed_ns": now_ns,
        "fence": table.c.fence + 1,
        **renew_values(now_ns),
    }


def renew_values(now_ns: int, wait_ns: int = 0) -> dict[str, Any]:
    """What a claim that is renewed now writes: it lasts for a wait of `wait_ns` and the attempt after it."""
    return {"claim_renewed_ns": now_ns, "claim_expires_ns": now_ns + wait_ns + LEASE_NS}


def next_attempt_ns(claim_expires_ns: int | None, now_ns: int) -> int | None:
    """When the run that waits under a claim tries again, at the latest; None where none waits."""
    next_ns = None if claim_expires_ns is None else claim_expires_ns - LEASE_NS
    return next_ns if next_ns is not None and next_ns > now_ns else None


def is_free(connection: Connection, table: Table, now_ns: int, *of: ColumnElement[bool]) -> ColumnElement[bool]:
    """Whether a row among those that `of` names can be taken: no run has it, or its claim is void.

    A claim is void once it has expired, or the process that took it is known to be dead.
    """
    return is_unclaimed(table, now_ns) | table.c.holder_process.in_(dead_processes(connection, table, *of))


def is_unclaimed(table: Table, now_ns: int) -> ColumnElement[bool]:
    """Whether no run has a row, or its claim has expired."""
    is_free = table.c.holder.is_(None) | (table.c.claim_expires_ns < now_ns)
    # The clock was set back since: the time on the claim does not show when it expires.
    return is_free | (table.c.claim_renewed_ns > now_ns + LEASE_NS)


def is_held(connection: Connection, table: Table, now_ns: int, *of: ColumnElement[bool]) -> ColumnElement[bool]:
    """Whether a row among those that `of` names has a claim that holds: not expired, and not of a dead process."""
    by_dead = func.coalesce(table.c.holder_process, "").in_(dead_processes(connection, table, *of))
    return (table.c.claim_expires_ns >= now_ns) & ~by_dead


def dead_processes(connection: Connection, table: Table, *of: ColumnElement[bool]) -> list[str]:
    """The processes that have claims on rows of a table and are known to be dead.

    A dead process stays dead, and no other bears its identity: a claim that is taken meanwhile is not one of theirs.
    """
    asked = select(table.c.holder_process, func.max(table.c.claim_renewed_ns)).where(
        table.c.holder_process.is_not(None), *of
    )
    found = connection.execute(asked.group_by(table.c.holder_process)).all()
    return [process for process, seen_ns in found if is_dead(process, seen_ns)]


def is_dead(process: str | None, seen_ns: int | None) -> bool:
    """Whether a process, as a row has it, is known to be dead; it renewed its claim last at `seen_ns`."""
    identity = ProcessIdentity.from_text(process)
    return identity is not None and identity.is_known_dead(seen_ns)
