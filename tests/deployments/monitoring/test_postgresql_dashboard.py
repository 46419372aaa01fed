"""Each query of the PostgreSQL dashboard, on a real store with events of the sandbox, has the columns of its panel."""

from __future__ import annotations

import os
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import create_engine, text
from support import rich_store
from support.grafana import read_dashboard, sql, targets
from support.paths import ROOT
from support.values import SOURCE

from blocks import clock
from blocks.store.engine import open_engine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine

DASHBOARD = read_dashboard("grafana-postgresql.json")
TARGETS = [(panel, target) for panel, target in targets(DASHBOARD)]
EACH = 400
DAY_NS = 86_400 * 10**9
NUMBERS = (int, float, Decimal)
VIEWS_AND_TABLES = (
    "sign_in_attempts, item_usages, audit_events, events, streams, sources, names, hourly_counts, health_events"
)
"""What docs/how-to/monitoring.md has the user of Grafana read."""


@pytest.fixture(scope="module")
def reader(postgresql: str) -> Iterator[Engine]:
    """The connection of a user that may only read what the page names, to a store with events of the sandbox."""
    name = f"grafana_{os.urandom(4).hex()}"
    admin = create_engine(_driver(postgresql), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE migrated STRATEGY FILE_COPY"))
    url = postgresql.replace("/postgres?", f"/{name}?")
    store = open_engine(url)
    rich_store.fill(store, url, EACH)
    with store.begin() as connection:
        connection.execute(text(f"CREATE ROLE {name} LOGIN"))
        connection.execute(text(f"GRANT SELECT ON {VIEWS_AND_TABLES} TO {name}"))
    store.dispose()
    opened = create_engine(_driver(url), connect_args={"options": f"-c role={name}"})
    yield opened
    opened.dispose()
    with admin.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
        connection.execute(text(f"DROP ROLE {name}"))
    admin.dispose()


def _driver(url: str) -> str:
    return url.replace("postgresql://", "postgresql+psycopg://")


def query(reader: Engine, statement: str, **how: Any) -> tuple[list[str], list[Any]]:
    now_ns = clock.now_ns()
    sent = sql(statement, now_ns - 7 * DAY_NS, now_ns, [SOURCE.name], **how)
    with reader.connect() as connection:
        found = connection.exec_driver_sql(sent.replace("%", "%%"))
        return list(found.keys()), found.all()


@pytest.mark.parametrize(("panel", "target"), TARGETS, ids=[panel["title"] for panel, _ in TARGETS])
def test_a_query_returns_what_its_panel_shows(panel: dict[str, Any], target: dict[str, Any], reader: Engine) -> None:
    columns, rows = query(reader, target["rawSql"])
    assert rows
    match panel["type"]:
        case "timeseries":
            assert (target["format"], columns[:2]) == ("time_series", ["time", "metric"])
            assert all(isinstance(row[0], NUMBERS) and isinstance(row[1], str) for row in rows)
            assert all(isinstance(row[2], NUMBERS) for row in rows)
            assert [row[0] for row in rows] == sorted(row[0] for row in rows)
        case "stat":
            assert (len(rows), len(columns)) == (1, 1)
            assert rows[0][0] > 0
        case "barchart":
            assert columns == [panel["options"]["xField"], "events"]
            assert [row[1] for row in rows] == sorted((row[1] for row in rows), reverse=True)
            assert any(row[0] for row in rows)
        case "table":
            assert all(any(row[place] is not None for row in rows) for place, _ in enumerate(columns))
        case other:
            raise AssertionError(other)


def test_the_page_names_what_the_user_must_read() -> None:
    page = (ROOT / "docs" / "how-to" / "monitoring.md").read_text()
    assert f"GRANT SELECT ON {VIEWS_AND_TABLES} TO grafana" in " ".join(page.split())


def test_the_numbers_are_those_of_the_store(reader: Engine) -> None:
    statements = {panel["title"]: target["rawSql"] for panel, target in TARGETS}
    attempts = query(reader, statements["Attempts"])[1][0][0]
    failed = query(reader, statements["Failed"])[1][0][0]
    assert attempts == EACH + 1, "and the one of rich_store"
    assert 0 < failed < attempts
    assert sum(row[2] for row in query(reader, statements["Attempts by outcome"])[1]) == attempts
    assert sum(row[2] for row in query(reader, statements["Usages by action"])[1]) == EACH
    assert sum(row[2] for row in query(reader, statements["Actions"], interval_s=300)[1]) == EACH


def test_another_source_and_another_time_have_no_events(reader: Engine) -> None:
    statement = next(target["rawSql"] for panel, target in TARGETS if panel["title"] == "Attempts")
    now_ns = clock.now_ns()
    for sent in (
        sql(statement, now_ns - 7 * DAY_NS, now_ns, ["it's another"]),
        sql(statement, now_ns + DAY_NS, now_ns + 2 * DAY_NS, [SOURCE.name]),
    ):
        with reader.connect() as connection:
            assert connection.exec_driver_sql(sent).scalar() == 0


def test_the_variable_lists_the_sources(reader: Engine) -> None:
    (variable,) = DASHBOARD["templating"]["list"]
    assert query(reader, variable["query"])[1] == [(SOURCE.name,)]


def test_a_time_range_is_found_by_an_index(reader: Engine) -> None:
    """Otherwise each panel would read the JSON of every event there is."""
    now_ns = clock.now_ns()
    for panel, target in TARGETS:
        if "e.time_ns" in target["rawSql"]:
            sent = sql(target["rawSql"], now_ns - 60 * 10**9, now_ns, [SOURCE.name])
            with reader.connect() as connection:
                connection.exec_driver_sql("SET enable_seqscan = off")
                plan = "\n".join(row[0] for row in connection.exec_driver_sql(f"EXPLAIN {sent}".replace("%", "%%")))
            assert "events_by_time" in plan, f"{panel['title']}: {plan}"
