"""What all formats have in common."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.formats import ALL, RECEIVED, TIME, UUID, event, made, stream

from blocks.events_api.models import Api
from blocks.events_api.vocabulary import EVENTS
from blocks.siem.formats import registry
from blocks.siem.formats.raw import envelope

FORMATS = ("raw", "ecs", "ocsf")


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("api", Api)
@pytest.mark.parametrize("format_name", FORMATS)
def test_every_format_keeps_what_every_siem_needs(format_name: str, api: Api, version: str) -> None:
    for number in range(ALL[api]):
        one = made(api, number, version)
        line = envelope(registry.format_event(format_name, one, stream(api)))
        account = json.loads(one.body).get("account_uuid", "SOURCEACCOUNT")
        for kept in (one.uuid, TIME, RECEIVED, account, api.value, "1Pass", "sec/1password", "blue"):
            assert f'"{kept}"'.encode() in line
        assert b"\n" not in line


@pytest.mark.parametrize("api", Api)
@pytest.mark.parametrize("format_name", FORMATS)
def test_what_the_rules_left_is_all_that_is_sent(format_name: str, api: Api) -> None:
    one = event('{"category":"success","action":"join","secret":"Ana"}')
    found = registry.format_event(
        format_name, one, stream(api), b'{"category":"success","action":"join","secret":"***"}'
    )
    assert b"Ana" not in found.document
    assert b"***" in found.document
    assert found.event is one


@pytest.mark.parametrize("path", [("raw_data",), ("event", "original")])
def test_the_original_is_kept_byte_for_byte(path: tuple[str, ...]) -> None:
    body = '{\n "action": "join", "n": 1.50e+3, "é":"\\u0026\\ud800",\r\n "n": 2}'
    found: Any = json.loads(
        registry.format_event("ocsf" if path == ("raw_data",) else "ecs", event(body), stream(Api.AUDIT)).document
    )
    for name in path:
        found = found[name]
    assert found == body


def test_there_is_no_other_format() -> None:
    with pytest.raises(KeyError):
        registry.format_event("cef", event("{}"), stream(Api.AUDIT))


@pytest.mark.parametrize("format_name", FORMATS)
@pytest.mark.parametrize(
    "body",
    [
        '{"action":"\\ud800","client":{"os_name":"\\udfff"},"object_type":"\\ud800"}',
        '{"action":"join","n":' + "9" * 400 + "}",
        '{"action":"join","n":1e999,"aux_id":123456789012345678901234567890}',
        '{"action":"join","deep":' + "[" * 300 + "]" * 300 + "}",
        '{"action":"join","deep":' + '{"a":' * 900 + "1" + "}" * 900 + "}",
        '{"action":"join","action":"leave"}',
        "[]",
        "null",
        "not JSON",
        "",
    ],
)
def test_no_body_is_too_odd(format_name: str, body: str) -> None:
    found = registry.format_event(format_name, event(body), stream(Api.AUDIT))
    assert found.event_id.startswith("audit-")
    if format_name != "raw":
        assert json.loads(found.document, parse_constant=pytest.fail)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
NAMES = {api: sorted(EVENTS[api.path]) for api in Api}
PARTS = (
    "uuid",
    "name",
    "email",
    "ip",
    "ip_address",
    "os_name",
    "login_time",
    "value",
    "country",
    "latitude",
    "longitude",
)


def bodies_of(api: Api) -> st.SearchStrategy[dict[str, Any]]:
    part = st.dictionaries(st.sampled_from(PARTS), JSON, max_size=4)
    word = st.sampled_from(["join", "create", "user", "gm", "gva", "uva", "device", "success", "mfa_ok"])
    return st.dictionaries(st.sampled_from(NAMES[api]), JSON | part | word, max_size=12)


@pytest.mark.parametrize("api", Api)
@pytest.mark.parametrize("format_name", FORMATS)
@settings(deadline=None, max_examples=50)
@given(data=st.data())
def test_members_of_any_type_are_formatted(format_name: str, api: Api, data: st.DataObject) -> None:
    body = json.dumps(data.draw(bodies_of(api)))
    document = registry.format_event(format_name, event(body), stream(api)).document
    if format_name == "raw":
        assert document == body.encode()
    else:
        found = json.loads(document, parse_constant=pytest.fail)
        uuid, original = {
            "ecs": lambda: (found["event"]["id"], found["event"]["original"]),
            "ocsf": lambda: (found["metadata"]["uid"], found["raw_data"]),
        }[format_name]()
        assert (uuid, original) == (UUID, body)
