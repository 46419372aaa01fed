"""The health of a source, as `status`, `/metrics` and the console show it: judged from what its runs stored."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blocks.health import NOT_RUNNING
from blocks.store import run_signs, source_status

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from blocks.store.source_status import OpenCondition, SourceStatus

STATES = ("healthy", "retrying", "in error", "not running", "not run yet", "stopped", "deleted")


def judged_sources(engine: Engine, name: str | None = None, *, with_deleted: bool = False) -> list[SourceStatus]:
    """As `source_status.sources`, with the conditions judged from their runs now."""
    return run_signs.with_judgements(engine, source_status.sources(engine, name, with_deleted=with_deleted))


def health(source: SourceStatus) -> str:
    """One of `STATES`, for a source from `judged_sources`; `not running`: its runs are due and do not work."""
    if source.deleted_ns is not None:
        return "deleted"
    if source.paused_ns is not None:
        return "stopped"
    if source.in_error:
        return "in error"
    if _not_running(source):
        return "not running"
    if any(stream.state == "retrying" for stream in source.streams):
        return "retrying"
    return "not run yet" if source.state_ns is None else "healthy"


def _not_running(source: SourceStatus) -> OpenCondition | None:
    return next((one for one in source.open if one.name == NOT_RUNNING), None)


def health_since_ns(source: SourceStatus) -> int | None:
    """Since when the source has had this health, in ns since 1970; None if the store does not know."""
    how = health(source)
    if how in {"in error", "retrying"}:
        begun = [stream.failing_since_ns for stream in source.streams if stream.failing_since_ns is not None]
        begun += [one.since_ns for one in source.open if one.severity == "Error"]
        return min(begun, default=source.state_ns)
    if how == "not running" and (found := _not_running(source)):
        return found.since_ns
    known = {"deleted": source.deleted_ns, "stopped": source.paused_ns, "healthy": source.recovered_ns}
    return known.get(how)
