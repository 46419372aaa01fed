"""The signs of life of all sources, read and judged at once, on both databases; nothing is written."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from support.ended_runs import end_run
from support.moving_clock import START_NS, MovingClock
from support.values import SOURCE

from blocks.events_api.models import Api
from blocks.health import ERROR, WARNING
from blocks.store import (
    run_health,
    run_signs,
    source_status,
    sources,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Engine

    from blocks.store.streams import StreamClaim

    Rows = Callable[[str], list[tuple[object, ...]]]


MINUTE = 60
HOUR = 3600


def test_all_sources_are_judged_by_one_query(engine: Engine, moving: MovingClock) -> None:
    many = [replace(SOURCE, id=f"{number:032x}", name=f"s{number:03}") for number in range(40)]
    for source in many:
        sources.save(engine, source)
    end_run(engine, many[7])
    moving.advance(13 * MINUTE)
    end_run(engine, many[8])
    statements: list[str] = []
    from sqlalchemy import event

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    found = run_signs.judge_all(engine, watched_ns=START_NS)
    assert [one.signs.name for one in found if one.is_running] == ["s008"]
    assert len([one for one in statements if not one.startswith("BEGIN")]) == 1
    assert all("has worked" in one.active[0].description for one in found if one.signs.name == "s007")


def test_the_view_of_a_reader_is_judged_and_nothing_is_written(ran: Engine, moving: MovingClock, rows: Rows) -> None:
    moving.advance(13 * MINUTE)
    (source,) = run_signs.with_judgements(ran, source_status.sources(ran))
    assert [(one.name, one.severity, one.since_ns) for one in source.open] == [("NotRunning", WARNING, START_NS)]
    assert rows("SELECT * FROM conditions") == rows("SELECT * FROM health_events") == []
    run_health.update_conditions(ran)
    moving.advance(HOUR)
    (source,) = run_signs.with_judgements(ran, source_status.sources(ran))
    assert [(one.name, one.severity) for one in source.open][:2] == [("NotRunning", ERROR), ("Lag", WARNING)]
    end_run(ran)
    (source,) = run_signs.with_judgements(ran, source_status.sources(ran))
    assert source.open == ()


def test_a_claim_of_a_stream_that_is_not_collected_any_more_counts_for_nothing(
    engine: Engine, claim: StreamClaim, moving: MovingClock
) -> None:
    sources.save(engine, replace(SOURCE, apis=(Api.SIGN_IN,)))
    moving.advance(13 * MINUTE)
    (judgement,) = run_signs.judge_all(engine)
    assert [stream.api for stream in judgement.signs.streams] == ["sign-in"]
