"""Read the signs of life of all sources in plain SQL, and judge from them whether the runs work."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sqlalchemy import text

from blocks import clock
from blocks.health import WARNING
from blocks.liveness import Judgement, Signs, judge
from blocks.store.engine import reading, store_errors
from blocks.store.run_sign_queries import ALL, ONE, OPEN, signs_of, values_of
from blocks.store.source_status import OpenCondition

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection, Engine

    from blocks.health import Condition
    from blocks.store.source_status import SourceStatus

_ALL, _ONE, _OPEN = text(ALL), text(ONE), text(OPEN)


def judge_all(engine: Engine, *, watched_ns: int | None = None) -> list[Judgement]:
    """Judge all sources but the deleted ones, by name. `watched_ns`: see `blocks.liveness.judge`."""
    with store_errors(), reading(engine).connect() as connection:
        rows = connection.execute(_ALL).all()
    now_ns = clock.now_ns()
    return [judge(signs, now_ns, watched_ns=watched_ns) for signs in signs_of(rows)]


def judge_one(connection: Connection, source_id: str, *, watched_ns: int | None = None) -> Judgement | None:
    """Judge one source within a transaction; None if it was deleted."""
    found = signs_of(connection.execute(_ONE, {"source": source_id}).all())
    return judge(found[0], clock.now_ns(), watched_ns=watched_ns) if found else None


def open_values(engine: Engine) -> dict[tuple[str, str], str]:
    """The values of the open conditions that are judged here, by source id and tracker."""
    with store_errors(), reading(engine).connect() as connection:
        return values_of(connection.execute(_OPEN))


def with_judgements(engine: Engine, sources: Sequence[SourceStatus]) -> list[SourceStatus]:
    """The sources with the conditions judged now added to their open ones, even if no `up` has written them."""
    by_id = {one.signs.source_id: one for one in judge_all(engine)}
    return [_with(source, by_id[source.id]) if source.id in by_id else source for source in sources]


def _with(source: SourceStatus, judgement: Judgement) -> SourceStatus:
    over = {condition.tracker for condition in judgement.ended}
    since = {one.tracker: one for one in source.open}
    found = [_as_open(condition, judgement.signs, since.get(condition.tracker)) for condition in judgement.active]
    replaced = over | {one.tracker for one in found}
    opened = [one for one in source.open if one.tracker not in replaced] + found
    return replace(source, open=tuple(sorted(opened, key=lambda one: (one.severity == WARNING, one.since_ns))))


def _as_open(condition: Condition, signs: Signs, stored: OpenCondition | None) -> OpenCondition:
    if stored is not None and stored.severity == condition.severity:
        return stored
    since_ns = signs.seen_ns(clock.now_ns()) or signs.due_ns
    return OpenCondition(
        condition.tracker, condition.name, condition.severity, condition.description, condition.hint, since_ns
    )
