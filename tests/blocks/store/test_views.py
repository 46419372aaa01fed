"""The SQL views: one column per documented member, whatever an event holds."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text
from support.values import SOURCE

from blocks.events_api.models import Api, read_page
from blocks.store import pages, schema, streams, views

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from blocks.store.sources import SourceRecord
    from deployments.sandbox.process import SandboxProcess

PERSON = {"uuid", "name", "email"}
CLIENT = {"app_name", "app_version", "platform_name", "platform_version", "os_name", "os_version", "ip_address"}
LOCATION = {"country", "region", "city", "latitude", "longitude"}
COMMON = {"id", "source", "uuid", "timestamp", "time", "received", "account_uuid", "body"}


def under(member: str, parts: set[str]) -> set[str]:
    return {f"{member}_{part}" for part in parts}


DOCUMENTED = {
    Api.SIGN_IN: COMMON
    | {"session_uuid", "category", "type", "country", "details_value"}
    | under("target_user", PERSON | {"user_type", "user_account_uuid"})
    | under("client", CLIENT)
    | under("location", LOCATION),
    Api.ITEM_USAGE: COMMON
    | {"used_version", "vault_uuid", "item_uuid", "action"}
    | under("user", PERSON | {"user_type", "user_account_uuid"})
    | under("client", CLIENT)
    | under("location", LOCATION),
    Api.AUDIT: COMMON
    | {"actor_uuid", "actor_type", "actor_account_uuid", "action", "object_type", "object_uuid"}
    | {"aux_id", "aux_uuid", "aux_info"}
    | under("actor_details", PERSON | {"user_type", "user_account_uuid"})
    | under("object_details", PERSON)
    | under("aux_details", PERSON)
    | under("session", {"uuid", "login_time", "device_uuid", "ip"})
    | under("location", LOCATION),
}


def store(engine: Engine, api: Api, *items: bytes) -> None:
    stream_claim = streams.acquire(engine, streams.of_source(engine, SOURCE.id, (api,))[0], "run")
    assert stream_claim
    page = read_page(b'{"cursor":"c","has_more":false,"items":[' + b",".join(items) + b"]}", api)
    assert not page.invalid_items
    cursor = streams.get(engine, stream_claim.stream_id).cursor
    pages.commit_page(engine, stream_claim, page, after=cursor, api_version="v2")


def ask(engine: Engine, api: Api) -> list[dict[str, Any]]:
    with engine.connect() as connection:
        found = connection.execute(text(f"SELECT * FROM {api.view} ORDER BY id"))
        return [dict(row._mapping) for row in found]


def item(uuid: str, members: str, timestamp: str = "2026-03-04T05:06:07.08912345Z") -> bytes:
    return f'{{"uuid":"{uuid}","timestamp":"{timestamp}",{members}}}'.encode()


def test_the_views_of_the_database_are_those_of_the_file(engine: Engine) -> None:
    queries = views.queries(engine.dialect.name)
    assert set(queries) == {api.view for api in Api}
    with engine.connect() as connection:
        for name, query in queries.items():
            if engine.dialect.name == "sqlite":
                stored = f"SELECT sql FROM sqlite_schema WHERE type = 'view' AND name = '{name}'"
                assert connection.scalar(text(stored)) == f"CREATE VIEW {name} AS {query}"
            else:
                connection.exec_driver_sql(f"CREATE TEMPORARY VIEW of_the_file_{name} AS {query}")
                actual, expected = f"pg_get_viewdef('{name}')", f"pg_get_viewdef('of_the_file_{name}')"
                assert connection.exec_driver_sql(f"SELECT {actual} = {expected}").scalar()


def test_a_change_of_the_views_comes_with_a_migration() -> None:
    """An upgrade makes the views again, and a store of the present version is not upgraded."""
    digest = hashlib.sha256(views.FILE.read_bytes()).hexdigest()[:16]
    assert (schema.HEAD, digest) == ("0017", "bdc2dd7ca6e458f8"), (
        "add a migration, then write its number and this digest here"
    )


@pytest.mark.parametrize("api", list(Api))
def test_there_is_a_column_for_every_documented_member(engine: Engine, api: Api) -> None:
    with engine.connect() as connection:
        assert set(connection.execute(text(f"SELECT * FROM {api.view}")).keys()) == DOCUMENTED[api]


def test_members_come_as_text_and_numbers(engine: Engine, source: SourceRecord) -> None:
    nested = '"client":{"ip_address":"2001:db8::7"},"location":{"latitude":-45.87,"longitude":170.5},"used_version":3'
    store(engine, Api.ITEM_USAGE, item("A", nested + ',"account_uuid":"ACC","action":"reveal"'))
    found = ask(engine, Api.ITEM_USAGE)[0]
    assert found["source"] == source.name
    assert (found["used_version"], found["action"], found["account_uuid"]) == (3, "reveal", "ACC")
    assert (found["location_latitude"], found["location_longitude"]) == (-45.87, 170.5)
    assert found["client_ip_address"] == "2001:db8::7"
    assert found["timestamp"] == "2026-03-04T05:06:07.08912345Z"
    assert found["vault_uuid"] is None


@pytest.mark.parametrize(
    ("timestamp", "expected"),
    [
        ("2026-03-04T05:06:07.08912345Z", "2026-03-04T05:06:07.089123450Z"),
        ("2026-03-04T05:06:07Z", "2026-03-04T05:06:07.000000000Z"),
        ("2026-03-04T05:06:07.999999999-03:00", "2026-03-04T08:06:07.999999999Z"),
        ("1969-12-31T23:59:59.5Z", "1969-12-31T23:59:59.500000000Z"),
    ],
)
def test_time_is_utc_with_all_digits(engine: Engine, source: SourceRecord, timestamp: str, expected: str) -> None:
    store(engine, Api.AUDIT, item("A", '"action":"x"', timestamp))
    time = ask(engine, Api.AUDIT)[0]["time"]
    if engine.dialect.name == "sqlite":
        assert time == expected
    else:  # a timestamptz holds six digits; time_ns of the table and timestamp of the view hold all
        assert time.isoformat(timespec="microseconds").replace("+00:00", "Z") == expected[:26] + "Z"


POISON = {
    "nul": rb'"action":"a\u0000b"',
    "nul of capitals": rb'"action":"a\U0000b"'.replace(rb"\U", rb"\u"),
    "escaped backslash before u0000": rb'"action":"a\\u0000b"',
    "backslash and nul": rb'"action":"a\\\u0000b"',
    "high surrogate alone": rb'"action":"a\ud800b"',
    "low surrogate alone": rb'"action":"a\uDC00b"',
    "surrogates in the wrong order": rb'"action":"a\udc00\ud800b"',
    "good pair": rb'"action":"a\ud83d\ude00b"',
    "member that is another kind": b'"action":{"a":1},"client":"none","location":[1],"object_details":7',
    "huge numbers": b'"aux_id":123456789012345678901234567890,"location":{"latitude":1e999,"longitude":"x"}',
    "aux_id of text": b'"aux_id":"4\'1"',
    "member twice": b'"action":"a","action":"b"',
    "deep": b'"action":' + b"[" * 500 + b"]" * 500,
}
SHOWN = {
    "nul": "a\ufffdb",
    "nul of capitals": "a\ufffdb",
    "escaped backslash before u0000": "a\\u0000b",
    "backslash and nul": "a\\\ufffdb",
    "good pair": "a\U0001f600b",
}


@pytest.mark.parametrize("name", POISON)
def test_one_odd_event_breaks_no_view(engine: Engine, source: SourceRecord, name: str) -> None:
    good = b'{"uuid":"%s","timestamp":"2026-03-04T05:06:07Z","action":"join"}'
    odd = b'{"uuid":"ODD","timestamp":"2026-03-04T05:06:07Z",' + POISON[name] + b"}"
    store(engine, Api.AUDIT, good % b"A", odd, good % b"B")
    found = ask(engine, Api.AUDIT)
    assert [row["uuid"] for row in found] == ["A", "ODD", "B"]
    assert found[1]["body"].encode() == odd
    if name in SHOWN:
        assert found[1]["action"] == SHOWN[name]


def test_a_view_shows_the_body_that_was_kept_first(engine: Engine, source: SourceRecord) -> None:
    first = b'{"uuid":"A","timestamp":"2026-03-04T05:06:07Z","action":"join"}'
    store(engine, Api.AUDIT, first)
    store(engine, Api.AUDIT, first.replace(b"join", rb"\u0000"))
    assert ask(engine, Api.AUDIT)[0]["action"] == "join"


def test_the_views_read_whatever_the_sandbox_serves(
    engine: Engine, source: SourceRecord, sandbox: SandboxProcess
) -> None:
    for api in Api:
        bodies = sandbox.events(api.path, "v2")
        store(engine, api, *bodies)
        found = ask(engine, api)
        assert len(found) == len(bodies)
        assert all(row["uuid"] in row["body"] for row in found)
        assert any(row["location_country"] for row in found)
