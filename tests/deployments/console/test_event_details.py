"""The members of a body as a list, and the place of an event in the hash chain."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text
from support.indexed_events import DAY_NS, NOON_NS, CollectedEvents
from support.indexed_events import event as made_event

from blocks.events_api.models import Api
from blocks.store import prune
from deployments.console.event_details import MEMBERS_MAX, body_members, event_details, raw_body

if TYPE_CHECKING:
    from sqlalchemy import Engine


def test_members_have_their_path_and_the_filter_that_finds_them() -> None:
    body = (
        '{"action":"grant","actor_details":{"uuid":"A"},"n":1.50,"session":{"ip":"::1"},"none":null,"list":[1],"x":""}'
    )
    assert [(one.path, one.value, one.parameter) for one in body_members(body)] == [
        ("action", "grant", "action"),
        ("actor_details.uuid", "A", "user"),
        ("n", "1.50", "q"),
        ("session.ip", "::1", "ip"),
        ("none", "null", ""),
        ("list", '["1"]', ""),
        ("x", "", ""),
    ]


@pytest.mark.parametrize("body", ["", "[1]", "{", "7", "[" * 100_000])
def test_another_body_has_no_members(body: str) -> None:
    assert list(body_members(body)) == []


def test_deep_and_wide_bodies_are_cut() -> None:
    deep = '{"a":' * 300 + "1" + "}" * 300
    (member,) = body_members(deep)
    assert member.path == ".".join("a" * 21)
    wide = "{" + ",".join(f'"m{n}":{n}' for n in range(999)) + "}"
    assert len(list(body_members(wide))) == MEMBERS_MAX
    assert next(body_members(r'{"a":"\ud800"}')).value == "?"


def test_the_place_in_the_chain_stays_when_events_before_it_are_pruned(engine: Engine) -> None:
    collected = CollectedEvents(engine)
    old, new = NOON_NS, NOON_NS + 900 * DAY_NS
    collected.add(Api.AUDIT, made_event("A", old, {}), made_event("B", old, {}), made_event("C", new, {}))
    collected.add(Api.AUDIT, made_event("D", new, {}))
    with engine.begin() as connection:
        connection.execute(text("UPDATE events SET received_ns = time_ns"))
        ids = {row.uuid: row.id for row in connection.execute(text("SELECT uuid, id FROM events"))}
    before = event_details(engine, ids["C"])
    for target in prune.targets(engine):
        list(prune.prune(engine, target, prune.parse_rule("400d"), wait=lambda _: None))
    after = event_details(engine, ids["C"])
    assert before is not None
    assert after is not None
    assert after.chain == before.chain
    assert after.chain is not None
    assert (after.chain.number, after.chain.place, after.chain.events, after.chain.newest) == (1, 3, 3, 2)
    assert event_details(engine, ids["A"]) is None
    assert raw_body(engine, ids["A"]) is None
    assert raw_body(engine, ids["D"]) == b'{"uuid": "D"}'


def test_an_event_without_a_link_says_so(engine: Engine) -> None:
    CollectedEvents(engine).audit("A")
    with engine.begin() as connection:
        event_id = connection.execute(text("SELECT id FROM events")).scalar_one()
        connection.execute(text("DELETE FROM chain"))
    found = event_details(engine, event_id)
    assert found is not None
    assert (found.chain, found.deliveries, found.changed) == (None, (), 0)
