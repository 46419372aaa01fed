"""Judge the sources' runs from outside and write the result as changes of health; the watchdog calls this."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blocks.store import health
from blocks.store.engine import writing
from blocks.store.run_sign_queries import differs
from blocks.store.run_signs import judge_all, judge_one, open_values

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from blocks.liveness import Judgement


def update_conditions(engine: Engine, *, watched_ns: int | None = None) -> list[Judgement]:
    """Judge all sources, and begin and end their conditions; if nothing changes, nothing is written.

    Several processes may call it at once. `watched_ns`: see `blocks.liveness.judge`. Raises FirstPartyGenericError.
    """
    values = open_values(engine)
    judgements = judge_all(engine, watched_ns=watched_ns)
    for judgement in judgements:
        if differs(judgement, values):
            _write_conditions(engine, judgement, watched_ns)
    return judgements


def _write_conditions(engine: Engine, before: Judgement, watched_ns: int | None) -> None:
    source_id = before.signs.source_id
    with writing(engine) as connection:
        for condition in (*before.active, *before.ended):
            health.lock(connection, source_id, condition.tracker)
        # A run may have ended since: judge again under the lock.
        judgement = judge_one(connection, source_id, watched_ns=watched_ns)
        if judgement is None:
            return
        for condition in judgement.active:
            health.begin(connection, source_id, condition)
        for condition in judgement.ended:
            health.end(connection, source_id, condition.tracker, condition.description, condition.api)
