"""A store that the version before has made upgrades by itself, with every row that it has.

`tests/fixtures/store_0011.db.gz` was made by the functions of the store as they were at schema version 0011, and has
rows in every table: three sources (one deleted), events that were pruned, quarantined, late, missed and changed,
windows and positions under claims, rejected events, and open conditions.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import create_engine, text
from support.kept_store import VERSION as BEFORE
from support.kept_store import copy, in_order, read_all, unpack
from support.values import require_proof

from blocks.events_api.models import Api, Event, Page
from blocks.store import health, pages, schema, source_status, streams
from blocks.store.engine import open_engine
from blocks.store.forwarding import forward_pairs, forward_status, positions, rejected_events
from blocks.store.integrity import verification

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Engine

SOURCE_ID = "a" * 32
NEW = {
    "state_spans",
    "event_index",
    "index_values",
    "user_names",
    "index_positions",
    "index_state",
    "names",
    "insight_days",
}
"""Tables that later versions added; they begin empty."""
ADDED = {"sources": {"token_expires_ns": None}, "jobs": {"paused_ns": None}}
"""Columns that later versions added, and what they begin with."""
TABLES = {
    "forwards": "pairs",
    "forward_positions": "positions",
    "refused_events": "rejected_events",
    "hours": "hourly_counts",
    "spans": "collected_spans",
    "found": "late_or_missed",
    "revisions": "changed_bodies",
    "budgets": "rate_limits",
    "operations": "audit_log",
    "vocabulary": "undocumented_values",
}
COLUMNS = {
    "holder_since_ns": "claimed_ns",
    "holder_ns": "claim_renewed_ns",
    "holder_until_ns": "claim_expires_ns",
    "forward": "pair_id",
    "sent_id": "acknowledged_id",
    "plan": "in_flight",
    "dropped": "filtered",
    "refused": "rejected",
    "refused_ns": "rejected_ns",
}


@pytest.fixture
def older(tmp_path: Path) -> Iterator[Engine]:
    """The store of an earlier release, as SQLite has it."""
    path = tmp_path / "kept.db"
    unpack(path)
    engine = create_engine(f"sqlite:///{path}")
    yield engine
    engine.dispose()


@pytest.fixture
def older_url(older: Engine, empty_url: str) -> str:
    """The same store on the database of the test, still at the version before."""
    if empty_url.startswith("sqlite"):
        assert older.url.database
        shutil.copy(older.url.database, empty_url.removeprefix("sqlite:///"))
        return empty_url
    engine = open_engine(empty_url)
    schema.upgrade(engine, to=BEFORE)
    copy(read_all(older), engine)
    engine.dispose()
    return empty_url


@pytest.fixture
def upgraded(older_url: str) -> Iterator[Engine]:
    engine = source_status.open_store(older_url)
    yield engine
    engine.dispose()


def test_every_table_of_the_older_store_has_rows(older: Engine) -> None:
    assert [table for table, rows in read_all(older).items() if not rows] == []


def test_an_upgrade_keeps_every_row_and_column(older: Engine, upgraded: Engine) -> None:
    before, after = read_all(older), read_all(upgraded)
    assert after.keys() - NEW == {TABLES.get(table, table) for table in before}
    for table, rows in before.items():
        in_words = [renamed(row) for row in rows] if table in {"conditions", "health_events"} else rows
        added = ADDED.get(table, {})
        expected = [{COLUMNS.get(name, name): value for name, value in row.items()} | added for row in in_words]
        assert in_order(after[TABLES.get(table, table)]) == in_order(expected), table


def renamed(row: dict[str, Any]) -> dict[str, Any]:
    tracker = row["tracker"].replace("refused/", "rejected/")
    return row | {"tracker": tracker, "name": row["name"].replace("EventsRefused", "EventsRejected")}


def test_an_upgraded_store_shows_bodies_cursors_and_positions(older: Engine, upgraded: Engine) -> None:
    assert schema.version(upgraded) == schema.HEAD
    assert require_proof(upgraded) == 32
    assert [report.damaged for report in verification.verify(upgraded, SOURCE_ID)] == [0, 0, 0]
    with older.connect() as connection:
        query = text("SELECT api, cursor FROM streams WHERE source_id LIKE 'a%'")
        cursors = {row.api: row.cursor for row in connection.execute(query)}
        bodies = connection.scalars(text("SELECT body FROM audit_events ORDER BY id")).all()
        (sent_id,) = connection.scalars(text("SELECT max(sent_id) FROM forward_positions"))
    found = streams.of_source(upgraded, SOURCE_ID, tuple(Api))
    assert {view.api: view.cursor for view in found} == cursors
    with upgraded.connect() as connection:
        assert connection.scalars(text("SELECT body FROM audit_events ORDER BY id")).all() == bodies
    (pair,) = forward_pairs.find_all(upgraded, "soc", "Example")
    view = next(view for view in positions.of_pair(upgraded, pair.id) if view.api == Api.AUDIT)
    assert view.acknowledged_id == sent_id
    assert len(view.in_flight) == 2
    assert list(view.ahead.values()) == [(3, 0)]
    assert [one.code for one in rejected_events.list_page(upgraded, pair.id)] == ["400", "413"]


def test_an_upgraded_store_goes_on(upgraded: Engine) -> None:
    """Ids rise, a claim that no run renewed expires, and what was open under the old name is closed."""
    view = streams.of_source(upgraded, SOURCE_ID, (Api.AUDIT,))[0]
    claim = streams.acquire(upgraded, view, "run-9", by_force=True)
    assert claim
    with upgraded.connect() as connection:
        newest = connection.scalar(text("SELECT max(id) FROM events"))
    page = Page("next", has_more=False, events=[Event("NEW", 5, "{}")], invalid_items=[])
    pages.commit_page(upgraded, claim, page, after=view.cursor, api_version="v2")
    with upgraded.connect() as connection:
        assert connection.scalar(text("SELECT max(id) FROM events WHERE uuid = 'NEW'")) > newest
    (pair,) = forward_pairs.find_all(upgraded, "soc", "Example")
    assert "rejected/soc" in health.open_conditions(upgraded, SOURCE_ID)
    assert rejected_events.discard(upgraded, pair) == 2
    assert "rejected/soc" not in health.open_conditions(upgraded, SOURCE_ID)
    assert {one.state for one in forward_status.pairs(upgraded, "soc", "Example")} == {"ThirdPartyConfigError"}


def test_views_that_users_have_built_and_granted_stay(older_url: str) -> None:
    engine = open_engine(older_url)
    with engine.begin() as connection:
        connection.execute(text("CREATE VIEW dashboard AS SELECT uuid, action FROM audit_events"))
        if engine.dialect.name == "postgresql":
            connection.execute(text("GRANT SELECT ON audit_events TO PUBLIC"))
        before = connection.execute(text("SELECT * FROM dashboard ORDER BY uuid")).all()
    schema.upgrade(engine)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT * FROM dashboard ORDER BY uuid")).all() == before
        if engine.dialect.name == "postgresql":
            granted = "SELECT has_table_privilege('pg_monitor', 'audit_events', 'SELECT')"
            assert connection.scalar(text(granted))
    engine.dispose()
