"""What operators check: sources, and the hash chains of their events. Each is run as a job."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from blocks import settings
from blocks.store import audit_log
from blocks.store.engine import open_reader
from blocks.store.integrity import verification

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Engine

    from blocks.store.integrity.verification import ChainReport
    from blocks.store.source_status import SourceStatus
    from deployments.console.check_results import CheckResults
    from deployments.console.jobs import Job


def check(job: Job, results: CheckResults, sources: Sequence[SourceStatus]) -> str:
    """Check sources one after the other."""
    counts: Counter[str] = Counter()
    for number, source in enumerate(sources):
        job.progress = number / len(sources)
        counts.update(one.result for one in results.check(source.id, source.name).findings)
    steps = ", ".join(f"{counts[word]:,} {word}" for word in ("ok", "warning", "failed", "not checked") if counts[word])
    return f"{_sources(sources)} checked: {steps}."


def verify(job: Job, engine: Engine, sources: Sequence[SourceStatus]) -> str:
    """Walk the hash chains of sources, and record what was found."""
    reader = open_reader(settings.database_url())  # a walk takes minutes, and pages need the other connection
    try:
        total = sum(verification.count_events(reader, source.id) for source in sources)
        done, damaged = 0, 0

        def advance(events: int) -> None:
            nonlocal done
            done += events
            job.progress = min(done / max(total, 1), 1.0)

        for source in sources:
            reports = verification.verify(reader, source.id, advance=advance)
            damaged += sum(one.damaged for one in reports)
            audit_log.append(engine, "verify", source.id, source.name, **_details(reports))
    finally:
        reader.dispose()
    if damaged:
        return f"NOT SOUND: {damaged:,} links of the hash chains are damaged. The page System has the first of each."
    return f"Sound: {_sources(sources)} unchanged. {total:,} events are as they were committed."


def _details(reports: Sequence[ChainReport]) -> dict[str, Any]:
    damages = {one.api: one.first.sentence for one in reports if one.first is not None}
    return {
        "sound": not any(one.damaged for one in reports),
        "links": sum(one.links for one in reports),
        "events": sum(one.events + one.pruned for one in reports),
        "unlinked": sum(one.uncovered for one in reports),
        "damaged": sum(one.damaged for one in reports),
        **({"first_damaged": damages} if damages else {}),
    }


def _sources(sources: Sequence[SourceStatus]) -> str:
    return "1 source is" if len(sources) == 1 else f"{len(sources):,} sources are"
