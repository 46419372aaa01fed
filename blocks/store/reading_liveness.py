"""The signs of life of all sources at once, in plain SQL: for those who judge whether runs work, and only read."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from blocks import clock
from blocks.health import WARNING
from blocks.liveness import LAG, RUNS, Judgement, Signs, StreamSigns, judge
from blocks.store.engine import reading, store_errors
from blocks.store.reading import Open

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import Connection, Engine, Row

    from blocks.health import Condition
    from blocks.store.reading import SourceStatus

LEASE_NS = 240 * 10**9
"""`streams.LEASE_NS`, which is not imported: it would load SQLModel."""

_SIGNS = (
    "SELECT s.id, s.name, s.created_ns, s.due_ns, s.state, s.state_ns, s.lag_after, s.paused_ns, s.apis, s.fingerprint,"
    " t.api, t.holder_ns, t.holder_until_ns, t.holder, t.progress_ns, t.drained_ns, t.error_ns, t.failing_since_ns,"
    " t.stopped_fingerprint FROM sources s LEFT JOIN streams t ON t.source_id = s.id WHERE s.deleted_ns IS NULL"
)
_ALL = text(f"{_SIGNS} ORDER BY s.name, s.id, t.id")
_ONE = text(f"{_SIGNS} AND s.id = :source ORDER BY t.id")
_OPEN = text("SELECT source_id, tracker, value FROM conditions WHERE tracker = :runs OR tracker LIKE :lag")


def judged(engine: Engine, *, watched_ns: int | None = None) -> list[Judgement]:
    """Judge all sources but the deleted ones, by name. `watched_ns`: see `blocks.liveness.judge`."""
    with store_errors(), reading(engine).connect() as connection:
        rows = connection.execute(_ALL).all()
    now_ns = clock.now_ns()
    return [judge(signs, now_ns, watched_ns=watched_ns) for signs in _signs(rows)]


def judged_within(connection: Connection, source_id: str, *, watched_ns: int | None = None) -> Judgement | None:
    """The same of one source in a transaction; None where it was deleted."""
    found = _signs(connection.execute(_ONE, {"source": source_id}).all())
    return judge(found[0], clock.now_ns(), watched_ns=watched_ns) if found else None


def open_values(engine: Engine) -> dict[tuple[str, str], str]:
    """The values of the open conditions that are judged here, by source id and tracker."""
    with store_errors(), reading(engine).connect() as connection:
        return {
            (row.source_id, row.tracker): row.value
            for row in connection.execute(_OPEN, {"runs": RUNS, "lag": f"{LAG}/%"})
        }


def as_judged(engine: Engine, sources: Sequence[SourceStatus]) -> list[SourceStatus]:
    """The same sources with what is judged now among their open conditions, also where no `up` has written it."""
    by_id = {one.signs.source_id: one for one in judged(engine)}
    return [_with(source, by_id[source.id]) if source.id in by_id else source for source in sources]


def _with(source: SourceStatus, judgement: Judgement) -> SourceStatus:
    over = {condition.tracker for condition in judgement.over}
    since = {one.tracker: one for one in source.open}
    found = [_as_open(condition, judgement.signs, since.get(condition.tracker)) for condition in judgement.found]
    replaced = over | {one.tracker for one in found}
    opened = [one for one in source.open if one.tracker not in replaced] + found
    return replace(source, open=tuple(sorted(opened, key=lambda one: (one.severity == WARNING, one.since_ns))))


def _as_open(condition: Condition, signs: Signs, stored: Open | None) -> Open:
    if stored is not None and stored.severity == condition.severity:
        return stored
    since_ns = signs.seen_ns(clock.now_ns()) or signs.due_ns
    return Open(condition.tracker, condition.name, condition.severity, condition.description, condition.hint, since_ns)


def _signs(rows: Sequence[Row[Any]]) -> list[Signs]:
    return [_source(list(group)) for _, group in groupby(rows, key=lambda row: row.id)]


def _source(rows: Sequence[Row[Any]]) -> Signs:
    first = rows[0]
    return Signs(
        source_id=first.id,
        name=first.name,
        due_ns=first.due_ns or first.created_ns,
        state=first.state,
        state_ns=first.state_ns,
        lag_after=first.lag_after,
        paused=first.paused_ns is not None,
        streams=tuple(_streams(rows, json.loads(first.apis))),
    )


def _streams(rows: Iterable[Row[Any]], apis: Sequence[str]) -> list[StreamSigns]:
    return [_stream(row) for row in rows if row.api in apis]


def _stream(row: Row[Any]) -> StreamSigns:
    stopped = row.stopped_fingerprint is not None and row.stopped_fingerprint == row.fingerprint
    return StreamSigns(
        api=row.api,
        renewed_ns=row.holder_ns,
        waits_until_ns=None if row.holder is None else row.holder_until_ns - LEASE_NS,
        progress_ns=row.progress_ns,
        drained_ns=row.drained_ns,
        error_ns=row.error_ns,
        in_error=stopped or row.failing_since_ns is not None,
        stopped=stopped,
    )
