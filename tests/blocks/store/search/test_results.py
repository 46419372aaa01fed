"""A search finds what a look at every event would find, page by page, on both databases."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text
from support.indexed_events import (
    ANA,
    BO,
    CLIENT,
    DAY_NS,
    HOUR_NS,
    NOON_NS,
    CollectedEvents,
    index_all,
    indexed,
)
from support.indexed_events import event as made_event

from blocks.events_api.models import Api
from blocks.store import sources
from blocks.store.engine import open_reader
from blocks.store.search import results
from blocks.store.search.query import Position, SearchQuery, needles, plain_part
from blocks.store.search.results import search

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine

USERS = [ANA, BO, {"uuid": "CY", "name": "Cy Test", "email": "cy@example.org"}]
ITEMS, VAULTS = ["item1", "item2", "item3"], ["vault1", "vault2"]
COUNTRIES = ["NZ", "FR", "Israel"]


@pytest.fixture
def collected(engine: Engine) -> CollectedEvents:
    return CollectedEvents(engine)


@pytest.fixture
def reader(store_url: str) -> Iterator[Engine]:
    opened = open_reader(store_url)
    yield opened
    opened.dispose()


def uuids_of(engine: Engine, limit: int = 50, **query: Any) -> list[str]:
    """The uuids of all pages."""
    uuids: list[str] = []
    after: Position | None = None
    while True:
        page = search(engine, SearchQuery(**query), after, limit, seconds=60)
        assert len(page.events) <= limit
        uuids += [event.uuid for event in page.events]
        after = page.after
        if after is None:
            return uuids


def fill(collected: CollectedEvents, own: random.Random, number: int) -> None:
    for n in range(number):
        time_ns = NOON_NS - own.randrange(6) * DAY_NS - own.randrange(3) * HOUR_NS + own.randrange(3)
        user, client = own.choice(USERS), CLIENT | {"ip_address": f"192.0.2.{own.randrange(4)}"}
        place = {"country": own.choice(COUNTRIES), "client": client}
        match own.randrange(3):
            case 0:
                category = own.choice(["success", "mfa_failed"])
                collected.sign_in(f"E{n}", time_ns, target_user=user, category=category, **place)
            case 1:
                members = {"vault_uuid": own.choice(VAULTS), "item_uuid": own.choice(ITEMS)}
                action = own.choice(["fill", "reveal", "export"])
                collected.item_usage(f"E{n}", time_ns, user=user, action=action, **members, **place)
            case 2:
                aux = own.choice(USERS)
                collected.audit(
                    f"E{n}",
                    time_ns,
                    actor_uuid=user["uuid"],
                    actor_details=user,
                    aux_uuid=aux["uuid"],
                    aux_details=aux,
                    object_uuid=own.choice(VAULTS),
                    action=own.choice(["grant", "export"]),
                )


def random_query(own: random.Random) -> dict[str, Any]:
    query: dict[str, Any] = {"members": {}}
    choices = {
        "user": ["ANA", "BO", "CY"],
        "person": ["BO", "CY"],
        "action": ["export", "grant", "success"],
        "ip": ["192.0.2.1", "192.0.2.2"],
        "country": ["NZ", "Israel"],
        "vault": VAULTS,
        "item": ITEMS,
        "type": ["uva", "credentials_ok"],
        "os": ["MacOSX", "none"],
    }
    for member in own.sample([*choices], own.randrange(3)):
        query["members"][member] = tuple(own.sample(choices[member], own.choice([1, 1, 2])))
    if own.random() < 0.5:
        since = NOON_NS - own.randrange(6) * DAY_NS
        query |= {"since_ns": since, "until_ns": since + own.choice([HOUR_NS, 2 * DAY_NS, 1])}
    if own.random() < 0.3:
        query["apis"] = tuple(own.sample([api.value for api in Api], own.choice([1, 2])))
    if own.random() < 0.2:
        query["failed"] = own.random() < 0.5
    if own.random() < 0.3:
        query["text"] = own.choice(["EXAMPLE.org", "cy test", "export", '"action": "fill"', "%", "_"])
    return query


def expected(engine: Engine, query: dict[str, Any]) -> list[str]:
    """The same by a look at every event."""
    with engine.connect() as connection:
        stored = "SELECT e.uuid, e.body, s.api FROM events e JOIN streams s ON s.id = e.stream_id"
        bodies = {row.uuid: row for row in connection.execute(text(stored))}
    rows = sorted(indexed(engine), key=lambda row: (row["time_ns"], row["event"]), reverse=True)
    return [row["uuid"] for row in rows if _matches(row, bodies[row["uuid"]], query)]


def _matches(row: dict[str, Any], stored: Any, query: dict[str, Any]) -> bool:
    columns = {"person": ("user", "object", "aux")}
    return (
        query.get("since_ns", 0) <= row["time_ns"] < query.get("until_ns", 2**63)
        and all(
            any(row[column] in values for column in columns.get(member, (member,)))
            for member, values in query["members"].items()
        )
        and ("apis" not in query or stored.api in query["apis"])
        and ("failed" not in query or (row["failed"] is not None and bool(row["failed"]) == query["failed"]))
        and query.get("text", "").lower() in stored.body.lower()
    )


@pytest.mark.parametrize("seed", range(4))
def test_every_search_finds_what_a_look_at_every_event_finds(
    engine: Engine, reader: Engine, collected: CollectedEvents, seed: int
) -> None:
    own = random.Random(seed)  # noqa: S311
    fill(collected, own, 60)
    index_all(engine)
    hits = 0
    for _ in range(60):
        query = random_query(own)
        wanted = expected(engine, query)
        assert uuids_of(reader, own.choice([1, 3, 50]), **query) == wanted, query
        hits += len(wanted)
    assert hits > 100, "most queries find something"


def test_an_event_comes_with_its_source_and_its_body_as_it_came(engine: Engine, collected: CollectedEvents) -> None:
    collected.add(Api.AUDIT, made_event("A", NOON_NS, '{"uuid":"A",  "action":"grant"}'))
    index_all(engine)
    (hit,) = search(engine, SearchQuery()).events
    assert (hit.source, hit.api, hit.uuid, hit.time_ns) == ("1Pass", "audit", "A", NOON_NS)
    assert hit.body == '{"uuid":"A",  "action":"grant"}'


def test_events_at_the_same_time_are_paged_by_id(engine: Engine, collected: CollectedEvents) -> None:
    for number in range(7):
        collected.audit(f"A{number}")
    index_all(engine)
    assert (
        uuids_of(engine, 2) == uuids_of(engine, 2, members={"user": ("ANA",)}) == [f"A{n}" for n in reversed(range(7))]
    )


def test_what_is_not_indexed_yet_is_counted(engine: Engine, collected: CollectedEvents) -> None:
    collected.audit("A")
    index_all(engine)
    collected.audit("B")
    page = search(engine, SearchQuery())
    assert ([event.uuid for event in page.events], page.not_indexed) == (["A"], 1)


def test_a_user_is_found_by_id_address_and_name(engine: Engine, collected: CollectedEvents) -> None:
    collected.audit("A", actor_uuid="BO", actor_details=BO)
    collected.audit("B")
    index_all(engine)
    for value in ("BO", "Bo@Example.org", "Bo Test"):
        assert uuids_of(engine, members={"user": (value,)}) == ["A"]
        assert uuids_of(engine, members={"person": (value,)}) == ["B", "A"], "to whom it was done, too"
    assert uuids_of(engine, members={"user": ("bo",)}) == [], "ids differ by case"


def test_a_source_is_found_by_name_and_id(engine: Engine, collected: CollectedEvents) -> None:
    members = {name: getattr(collected.source, name) for name in collected.source.__dataclass_fields__}
    other = CollectedEvents(engine, sources.SourceRecord(**{**members, "id": "2", "name": "Other"}))
    collected.audit("A")
    other.audit("B")
    index_all(engine)
    assert uuids_of(engine, sources=("Other",)) == uuids_of(engine, sources=("2",)) == ["B"]
    assert uuids_of(engine, sources=("nowhere",)) == []


@pytest.mark.parametrize(
    "value", ["100%", "a_b", "Ünïcode", 'quo"te', "back\\slash", "<b>&amp;</b>", "🌹", "\u2028", "'"]
)
def test_a_text_is_literal_and_found_in_any_form_that_json_has(
    engine: Engine, collected: CollectedEvents, value: str
) -> None:
    collected.audit("plain", aux_info=value)
    go = made_event("go", NOON_NS + 1, f'{{"aux_info":"{_as_go(value)}"}}')
    collected.add(Api.AUDIT, go)
    collected.audit("other", aux_info="100 a-b Unicode quote")
    index_all(engine)
    for searched in {value, value.upper(), value.lower()}:
        assert set(uuids_of(engine, text=searched)) == {"plain", "go"}


def _as_go(value: str) -> str:
    escapes = {'"': '\\"', "\\": "\\\\", "&": "\\u0026", "<": "\\u003c", ">": "\\u003e", "\u2028": "\\u2028"}
    return "".join(escapes.get(letter, letter) for letter in value)


def test_a_search_stops_when_its_time_is_over_and_goes_on_from_there(
    engine: Engine, collected: CollectedEvents, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "CANDIDATES", 2)
    for number in range(9):
        collected.audit(f"A{number}", NOON_NS + number, aux_info="needle" if number < 2 else "")
    index_all(engine)
    pages, after = 0, None
    uuids: list[str] = []
    while pages == 0 or after is not None:
        page = search(engine, SearchQuery(text="needle"), after, seconds=0)
        assert page.is_cut == (page.after is not None)
        uuids += [event.uuid for event in page.events]
        pages, after = pages + 1, page.after
    assert (uuids, pages) == (["A1", "A0"], 5)


def test_a_removed_event_is_left_out(engine: Engine, collected: CollectedEvents) -> None:
    collected.audit("A")
    index_all(engine)
    with engine.begin() as connection:  # as if it went between two reads of a search on PostgreSQL
        connection.execute(text("DELETE FROM events"))
    assert uuids_of(engine) == []


def test_a_member_that_is_not_indexed_is_an_error(engine: Engine) -> None:
    with pytest.raises(KeyError):
        search(engine, SearchQuery(members={"colour": ("red",)}))


def test_an_empty_store_has_no_results(engine: Engine) -> None:
    page = search(engine, SearchQuery())
    assert (page.events, page.after, page.not_indexed) == ([], None, 0)


@pytest.mark.parametrize(
    ("searched", "plain"),
    [("Zoë Müller", "ller"), ('say "hello" now', "hello"), ("田中", ""), ("a\\b", "a"), ("100%_", "100%_")],
)
def test_the_part_of_a_text_that_a_database_searches_for(searched: str, plain: str) -> None:
    assert plain_part(needles(searched)) == plain
