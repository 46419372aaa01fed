"""The signs of life that runs leave in the store: the queries, and how to read their rows. It opens no database.

`blocks.store.run_signs` reads them with SQLAlchemy, `blocks.store.run_signs_by_driver` with the database's driver.
"""

from __future__ import annotations

import json
from itertools import groupby
from typing import TYPE_CHECKING, Any

from blocks.liveness import LAG, RUNS, Signs, StreamSigns
from blocks.store import claim_expiry

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from blocks.liveness import Judgement

_SIGNS = (
    "SELECT s.id, s.name, s.created_ns, s.due_ns, s.state, s.state_ns, s.lag_after, s.paused_ns, s.apis, s.fingerprint,"
    " t.api, t.claim_renewed_ns, t.claim_expires_ns, t.holder, t.progress_ns, t.drained_ns, t.error_ns,"
    " t.failing_since_ns, t.stopped_fingerprint FROM sources s"
    " LEFT JOIN streams t ON t.source_id = s.id WHERE s.deleted_ns IS NULL"
)
ALL = f"{_SIGNS} ORDER BY s.name, s.id, t.id"
ONE = f"{_SIGNS} AND s.id = :source ORDER BY t.id"
OPEN = f"SELECT source_id, tracker, value FROM conditions WHERE tracker = '{RUNS}' OR tracker LIKE '{LAG}/%'"  # noqa: S608
"""The open conditions that are judged from these signs."""


def signs_of(rows: Sequence[Any]) -> list[Signs]:
    """The sources of these rows, in their order. A row has an attribute for each column."""
    return [_source(list(group)) for _, group in groupby(rows, key=lambda row: row.id)]


def values_of(rows: Iterable[Any]) -> dict[tuple[str, str], str]:
    """The values of open conditions by source id and tracker."""
    return {(row.source_id, row.tracker): row.value for row in rows}


def differs(judgement: Judgement, values: Mapping[tuple[str, str], str]) -> bool:
    """Whether a source's open conditions differ from those judged now."""
    source_id = judgement.signs.source_id
    begun = any(values.get((source_id, one.tracker)) != one.value for one in judgement.active)
    return begun or any((source_id, one.tracker) in values for one in judgement.ended)


def _source(rows: Sequence[Any]) -> Signs:
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


def _streams(rows: Iterable[Any], apis: Sequence[str]) -> list[StreamSigns]:
    return [_stream(row) for row in rows if row.api in apis]


def _stream(row: Any) -> StreamSigns:
    stopped = row.stopped_fingerprint is not None and row.stopped_fingerprint == row.fingerprint
    return StreamSigns(
        api=row.api,
        renewed_ns=row.claim_renewed_ns,
        waits_until_ns=None if row.holder is None else claim_expiry.waits_until_ns(row.claim_expires_ns),
        progress_ns=row.progress_ns,
        drained_ns=row.drained_ns,
        error_ns=row.error_ns,
        in_error=stopped or row.failing_since_ns is not None,
        stopped=stopped,
    )
