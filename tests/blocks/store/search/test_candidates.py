"""The rarest condition leads, by its own index, on both databases."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import event, text
from support.indexed_events import BO, DAY_NS, NOON_NS, CollectedEvents, index_all

from blocks.store.search import candidates, days
from blocks.store.search.query import SearchQuery, resolve
from blocks.store.search.results import search

if TYPE_CHECKING:
    from sqlalchemy import Engine


@pytest.fixture
def filled(engine: Engine) -> Engine:
    collected = CollectedEvents(engine)
    for number in range(40):
        user = BO if number == 20 else {"uuid": "ANA"}
        collected.item_usage(f"I{number}", NOON_NS - number * DAY_NS, user=user, location={"country": "NZ"})
    index_all(engine)
    return engine


def test_the_rarest_condition_leads(filled: Engine) -> None:
    query = SearchQuery(members={"action": ("reveal",), "user": ("BO",), "os": ("MacOSX",)}, apis=("itemUsage",))
    with filled.connect() as connection:
        resolved = resolve(connection, query)
        present = list(days.between(connection, query.since_ns, query.until_ns))
        chosen = candidates.choose(connection, resolved, present)
        assert chosen.lead is not None
        assert chosen.lead.columns == ("user_id",)
        assert len(chosen.rest) == 3
        assert candidates.count(connection, chosen, present) == 1
        only_os = candidates.choose(connection, resolve(connection, SearchQuery(members={"os": ("MacOSX",)})), present)
        assert only_os.lead is None, "it has no index"


@pytest.mark.parametrize("member", ["user", "ip", "action", "item", "vault", "country", "client", "source"])
def test_a_search_reads_the_index_of_its_member(filled: Engine, member: str) -> None:
    values = {"user": "BO", "ip": "192.0.2.1", "action": "reveal", "item": "item1", "vault": "vault1"}
    values |= {"country": "NZ", "client": "1Password for Mac"}
    members = {member: (values[member],)} if member in values else {}
    query = SearchQuery(members=members, sources=("1Pass",) if member == "source" else ())
    statements: list[tuple[str, object]] = []

    def note(_c: object, _cursor: object, statement: str, parameters: object, *_: object) -> None:
        if "ORDER BY" in statement and "event_index" in statement and "RECURSIVE" not in statement:
            statements.append((statement, parameters))

    event.listen(filled, "before_cursor_execute", note)
    search(filled, query)
    event.remove(filled, "before_cursor_execute", note)
    explain = "EXPLAIN QUERY PLAN " if filled.dialect.name == "sqlite" else "EXPLAIN "
    index = f"event_index_by_{'stream' if member == 'source' else member}"
    with filled.connect() as connection:
        connection.execute(text("ANALYZE"))
        if filled.dialect.name == "postgresql":
            connection.execute(text("SET enable_seqscan = off"))  # a table of one page is read whole
            connection.execute(text("SET enable_bitmapscan = off"))
        for statement, parameters in statements:
            plan = "\n".join(map(str, connection.exec_driver_sql(explain + statement, parameters).all()))  # type: ignore[arg-type]
            assert index in plan, plan
    assert statements
