from __future__ import annotations

import contextlib
import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from blocks.errors import ThirdPartyGenericError
from blocks.events_api.models import (
    ITEMS_MAX,
    TIME_NS_MAX,
    UUID_MAX,
    Api,
    Event,
    Introspection,
    InvalidItem,
    Page,
    read_introspection,
    read_page,
)

# How long an example takes depends on what else the machine does.
UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
FEWER = settings(UNHURRIED, max_examples=50)  # each makes a whole page
TIME = "2026-03-04T05:06:07Z"
TIME_NS = 1772600767 * 10**9
DEEP = b"[" * 100_000 + b"]" * 100_000


def envelope(*items: bytes, cursor: bytes = b'"c"', has_more: bytes = b"false", more: bytes = b"") -> bytes:
    return b'{"cursor":%b,"has_more":%b,"items":[%b]%b}' % (cursor, has_more, b",".join(items), more)


def event(members: bytes = b"", uuid: str = "A", timestamp: str = TIME) -> bytes:
    return b'{"uuid":%b,"timestamp":%b%b}' % (json.dumps(uuid).encode(), json.dumps(timestamp).encode(), members)


def read_one(item: bytes) -> Event | InvalidItem:
    """The item between two good ones, which it must not harm."""
    page = read_page(envelope(event(uuid="before"), item, event(uuid="behind")), Api.AUDIT)
    assert [one.uuid for one in (page.events[0], page.events[-1])] == ["before", "behind"]
    found: list[Event | InvalidItem] = [*page.events[1:-1], *page.invalid_items]
    assert len(found) == 1
    return found[0]


def accepted(item: bytes) -> Event:
    found = read_one(item)
    assert isinstance(found, Event), found
    assert found.body.encode() == item
    return found


def refused(item: bytes) -> str:
    found = read_one(item)
    assert isinstance(found, InvalidItem), found
    assert found.body == item
    return found.reason


# The envelope


def test_a_page() -> None:
    assert read_page(envelope(event(), has_more=b"true"), Api.AUDIT) == Page(
        cursor="c", has_more=True, events=[Event("A", TIME_NS, event().decode())], invalid_items=[]
    )


@pytest.mark.parametrize(
    "content",
    [
        b'{"cursor":"c","has_more":false,"items":[]}',
        b'{"cursor":"c","has_more":false,"items":null}',
        b'{"cursor":"c","has_more":false}',
        b'{"items":[],"x":{"items":[1]},"has_more":false,"cursor":"\\u0063"}',
        b' \r\n\t{ "cursor" : "c" , "has_more" : false , "items" : [ ] } \n',
    ],
)
def test_a_page_without_events(content: bytes) -> None:
    assert read_page(content, Api.AUDIT) == Page("c", has_more=False, events=[], invalid_items=[])


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b" ",
        b"null",
        b"[]",
        b"{}",
        b"404 page not found\n",
        b"<!doctype html><title>Sign in</title>",
        b'{"status":401,"message":"Unauthorized"}',
        b'{"cursor":"abc","has_more":true,"items":[{"uuid":',
        b'{"has_more":false,"items":[]}',
        b'{"cursor":"c","items":[]}',
        b'{"cursor":"","has_more":false,"items":[]}',
        b'{"cursor":null,"has_more":false,"items":[]}',
        b'{"cursor":5,"has_more":false,"items":[]}',
        b'{"cursor":"a\\u0000b","has_more":false,"items":[]}',
        b'{"cursor":"\\ud800","has_more":false,"items":[]}',
        b'{"cursor":"c","has_more":"no","items":[]}',
        b'{"cursor":"c","has_more":0,"items":[]}',
        b'{"cursor":"c","has_more":false,"items":{}}',
        b'{"cursor":"c","has_more":false,"items":"[]"}',
        b'{"cursor":"c","has_more":false,"items":[]}{}',
        b'{"cursor":"c","has_more":false,"items":[]',
        b'{"cursor":"c","has_more":false,"items":["',
        b'{"cursor":"c","has_more":false,"items":["\\',
        b'{"cursor":"c","has_more":false,"items"',
        b'["items":[1]]',
        b"\xff\xfe",
        DEEP,
        b'{"a":' * 100_000,
        b'{"cursor":"c","has_more":false,"items":[],"x":' + DEEP + b"}",
        b'{"cursor":"c","has_more":false,"items":[NaN],"x":' + DEEP + b"}",
        b'{"cursor":"c","has_more":false,"x":NaN,"items":[]}',
    ],
    ids=lambda content: repr(content[:40]),
)
def test_what_is_no_page_is_1passwords_trouble(content: bytes) -> None:
    with pytest.raises(ThirdPartyGenericError, match="not with a page of events") as raised:
        read_page(content, Api.AUDIT)
    assert raised.value.code == "invalid-body"
    assert raised.value.hint


@pytest.mark.parametrize("rest", [b"", b",NaN"])
def test_a_page_with_more_items_than_any_page_has_is_none(rest: bytes) -> None:
    content = b'{"cursor":"c","has_more":false,"items":[%b%b]}'
    assert len(read_page(content % (b"1," * (ITEMS_MAX - 2) + b"1", rest), Api.AUDIT).invalid_items) <= ITEMS_MAX
    with pytest.raises(ThirdPartyGenericError, match="more than 10,000 items"):
        read_page(content % (b"1," * (ITEMS_MAX + 1) + b"1", rest), Api.AUDIT)


@pytest.mark.parametrize(
    "before",
    [
        b'"x":{"items":[1,2]},',
        b'"x":[{"items":[1,2]}],',
        b'"x":"\\"items\\":[1,2]",',
        b'"x\\"items":[7],',
        b'"\\"items":[7],',
        b'"x":"items","y":["items"],',
        b'"items ":[1],',
        b'"x":"[{\\\\",',
    ],
)
def test_the_items_of_a_page_with_poison_are_its_own(before: bytes) -> None:
    content = b'{%b"cursor":"c","items" : [ NaN , %b ] , "has_more":true}' % (before, event())
    assert read_page(content, Api.AUDIT) == Page(
        "c", True, [Event("A", TIME_NS, event().decode())], [_not_json(b"NaN")]
    )


def _not_json(item: bytes) -> InvalidItem:
    return InvalidItem("not valid JSON: NaN is not JSON", item)


# One item


@pytest.mark.parametrize(
    "members",
    [
        rb',"x":"a\u0000b"',
        rb',"x":"\ud800"',
        rb',"x":"\udfffb\ud83d\ude00"',
        rb',"\ud800":1',
        b',"x":[[],{"y":null,"z":[true,false]}]',
        b',"x":18446744073709551616,"y":1e400,"z":-0.0e-999',
        b',"x":' + b"9" * 5000,
        b',"x":' + b"[" * 200 + b"]" * 200,
        b',"x":"\x7f\xe2\x80\xa8\xf0\x9f\x94\x91"',
        b' \t\r\n, "x" \n: "]},{[\\"" ',
        b',"x":1,"x":2,"items":[1],"cursor":"d"',
    ],
    ids=lambda members: repr(members[:30]),
)
def test_whatever_is_json_is_kept_byte_for_byte(members: bytes) -> None:
    assert accepted(event(members))[:2] == ("A", TIME_NS)


def test_a_member_may_come_anywhere_and_escaped() -> None:
    item = b'{"x":"\\ud800","\\u0074imestamp":"2026-03-04T05:06:07\\u005a","uuid":"\\u0041"}'
    assert accepted(item)[:2] == ("A", TIME_NS)


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        (b"null", "not a JSON object"),
        (b"42", "not a JSON object"),
        (b'"an event"', "not a JSON object"),
        (b'["uuid","A"]', "not a JSON object"),
        (b"{}", "no uuid"),
        (b'{"timestamp":"%b"}' % TIME.encode(), "no uuid"),
        (b'{"uuid":null,"timestamp":"%b"}' % TIME.encode(), "no uuid"),
        (event(uuid=""), "no uuid"),
        (b'{"uuid":42,"timestamp":"%b"}' % TIME.encode(), "uuid is not a string"),
        (b'{"uuid":4.2,"timestamp":"%b"}' % TIME.encode(), "uuid is not a string"),
        (b'{"uuid":["A"],"timestamp":"%b"}' % TIME.encode(), "uuid is not a string"),
        (event(uuid="A" * (UUID_MAX + 1)), "uuid is longer than 200 characters"),
        (event(uuid="A\0B"), "uuid holds characters that no id has"),
        (event(uuid="A\nB"), "uuid holds characters that no id has"),
        (event(uuid="A\ud800B"), "uuid holds characters that no id has"),
        (event(uuid="A\u202eB"), "uuid holds characters that no id has"),
        (b'{"uuid":"A"}', "no timestamp"),
        (b'{"uuid":"A","timestamp":null}', "no timestamp"),
        (b'{"uuid":"A","timestamp":1772600767}', "no timestamp"),
        (event(timestamp="yesterday"), "timestamp is not an RFC 3339 time: 'yesterday'"),
        (event(timestamp="2026-03-04T05:06:07"), "not an RFC 3339 time"),
        (event(timestamp="2026-02-30T05:06:07Z"), "not an RFC 3339 time"),
        (event(timestamp="2026-03-04T05:06:07.1234567891Z"), "not an RFC 3339 time"),
        (event(timestamp="9" * 5000), f"'{'9' * 40}'"),
        (event(timestamp="2026-03-04T05:06:07Z\0"), "not an RFC 3339 time"),
        (event(timestamp="\ud800"), "not an RFC 3339 time: '\\ud800'"),
        (event(timestamp="1500-01-01T00:00:00Z"), "outside the years 1678 to 2261"),
        (event(timestamp="9999-01-01T00:00:00Z"), "outside the years 1678 to 2261"),
        (event(b',"x":NaN'), "not valid JSON: NaN is not JSON"),
        (event(b',"x":-Infinity'), "not valid JSON: -Infinity is not JSON"),
        (event(b',"x":01'), "not valid JSON"),
        (event(b',"x":1.'), "not valid JSON"),
        (event(b',"x":"\\q"'), "not valid JSON"),
        (event(b',"x":"a\nb"'), "not valid JSON"),
        (event(b',"x":"a\0b"'), "not valid JSON"),
        (event(b',"x":[1,]'), "not valid JSON"),
        (event(b',"x"'), "not valid JSON"),
        (event() + event(), "not valid JSON"),
        (event() + b" x", "not valid JSON"),
        (b"\x0b" + event(), "not valid JSON"),
        (event() + b"\xc2\xa0", "not valid JSON"),
        (event(b',"x":"\xff"'), "not valid UTF-8"),
        (event(b',"x":"\xed\xa0\x80"'), "not valid UTF-8"),
        (event(b',"x":' + DEEP), "nested too deeply"),
    ],
    ids=lambda value: repr(value[:50]),
)
def test_what_is_no_event_is_set_aside_with_the_reason(item: bytes, reason: str) -> None:
    assert reason in refused(item)


@pytest.mark.parametrize("uuid", ["A", " ", "é" * UUID_MAX, "🔑" * UUID_MAX, "a/b'c\"d\\e", "null", "0"])
def test_an_id_is_any_text_that_a_database_can_hold(uuid: str) -> None:
    assert accepted(event(uuid=uuid)).uuid == uuid


# Times

WHOLE = st.datetimes(datetime(1678, 1, 1), datetime(2261, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@UNHURRIED
@given(WHOLE, st.text("0123456789", max_size=9), st.integers(-14 * 60, 14 * 60), st.booleans())
def test_a_time_is_exact_to_the_nanosecond(when: datetime, digits: str, offset: int, poison: bool) -> None:
    when = when.replace(microsecond=0)
    shown = (when + timedelta(minutes=offset)).strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0")
    zone = f"{'-' if offset < 0 else '+'}{abs(offset) // 60:02}:{abs(offset) % 60:02}" if offset else "Z"
    text = f"{shown}{'.' if digits else ''}{digits}{zone}"
    found = accepted(event(b',"x":"\\ud800"' if poison else b"", timestamp=text))
    assert found.time_ns == (when - EPOCH) // timedelta(seconds=1) * 10**9 + int(digits.ljust(9, "0"))


@pytest.mark.parametrize(
    ("text", "time_ns"),
    [
        ("2026-03-04T02:06:07.000000001-03:00", TIME_NS + 1),
        ("2026-03-04T05:06:07.1Z", TIME_NS + 100_000_000),
        ("2026-03-04T05:06:07-00:00", TIME_NS),
        ("2026-03-04t05:06:07z", TIME_NS),
        ("1969-12-31T23:59:59.999999999Z", -1),
        ("2262-04-11T23:47:16.854775807Z", TIME_NS_MAX),
    ],
)
def test_times_as_they_are_written(text: str, time_ns: int) -> None:
    assert accepted(event(timestamp=text)).time_ns == time_ns


def test_a_time_that_64_bits_do_not_hold() -> None:
    assert "outside the years" in refused(event(timestamp="2262-04-11T23:47:16.854775808Z"))
    assert "outside the years" in refused(event(timestamp="1677-09-21T00:12:43.145224192Z"))


# Any mixture

SPACE = st.text(" \t\r\n", max_size=3).map(str.encode)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3), max_leaves=6
)


def written(draw: st.DrawFn, value: Any) -> bytes:
    """One of the ways to write a value as JSON, with white space and escapes as it comes."""
    text = json.dumps(value, ensure_ascii=draw(st.booleans()), indent=draw(st.sampled_from([None, 0, 1])))
    return text.encode("utf-8", "surrogatepass") if _is_sound(text) else json.dumps(value).encode()


def _is_sound(text: str) -> bool:
    return not any("\ud800" <= c <= "\udfff" for c in text)


@st.composite
def good_items(draw: st.DrawFn) -> bytes:
    more = draw(st.dictionaries(st.text(), VALUES, max_size=3)) | {
        "uuid": draw(st.text("ABCé /'\"\\", min_size=1, max_size=26)),
        "timestamp": draw(st.sampled_from([TIME, "2026-03-04T05:06:07.123456789Z", "2026-03-04T02:06:07-03:00"])),
    }
    members = draw(st.permutations(list(more.items())))
    surrogate = draw(st.sampled_from([b"", b'"x_s":"\\udc00",', b'"x_n":"\\u0000",', b'"x_d":1e999,']))
    body = b",".join(written(draw, name) + draw(SPACE) + b":" + written(draw, value) for name, value in members)
    return b"{" + draw(SPACE) + surrogate + body + draw(SPACE) + b"}"


POISON = st.sampled_from(
    [
        b"null",
        b"NaN",
        b"-0",
        b"01",
        b"{}",
        b"tru",
        b'"]"',
        b'"\\q,["',
        b'{"uuid":42}',
        b'{"uuid":"A"}',
        b'{"uuid":"A","timestamp":"x"}',
        b'{"uuid":"\\u0000","timestamp":"2026-03-04T05:06:07Z"}',
        b'{"uuid":"A","timestamp":"2026-03-04T05:06:07Z","x":"\xff"}',
        b'{"uuid":"A","timestamp":"2026-03-04T05:06:07Z","x":"\n"}',
        b'{"uuid":"A","timestamp":"2026-03-04T05:06:07Z","x":Infinity}',
        b'{"uuid" "A"}',
        b'[{"uuid":"A"]}',
        b'{"x":"\xed\xa0\x80","items":[1]}',
        b"[" * 2000 + b"]" * 2000,
    ]
)
MIXED = st.lists(good_items().map(lambda item: (True, item)) | POISON.map(lambda item: (False, item)), max_size=8)


@FEWER
@given(MIXED, st.data())
def test_any_mixture_is_cut_without_loss(mixed: list[tuple[bool, bytes]], data: st.DataObject) -> None:
    spaced = [data.draw(SPACE) + item + data.draw(SPACE) for _, item in mixed]
    page = read_page(envelope(*spaced, more=data.draw(st.sampled_from([b"", b',"x":{"items":[1]}', b"\n"]))), Api.AUDIT)
    assert [one.body.encode() for one in page.events] == [item for good, item in mixed if good]
    assert [one.body for one in page.invalid_items] == [item for good, item in mixed if not good]


@FEWER
@given(st.lists(good_items(), max_size=5))
def test_what_is_read_is_what_the_standard_library_reads(items: list[bytes]) -> None:
    page = read_page(envelope(*items), Api.AUDIT)
    assert [one.uuid for one in page.events] == [json.loads(item)["uuid"] for item in items]


@FEWER
@given(st.lists(good_items(), max_size=4), st.data())
def test_a_damaged_page_is_read_or_refused_and_nothing_else(items: list[bytes], data: st.DataObject) -> None:
    content = bytearray(envelope(*items))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=3) | st.sampled_from(MARKS))
    with contextlib.suppress(ThirdPartyGenericError):
        page = read_page(bytes(content), Api.AUDIT)
        assert all(one.body.encode() in content for one in page.events)
        assert all(one.body in content for one in page.invalid_items)


MARKS = [b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b'"items":[', b"NaN", b"\\ud800"]


@UNHURRIED
@given(st.binary() | st.lists(st.sampled_from([*MARKS, b'"cursor":"c",', b'"has_more":true', b"x"])).map(b"".join))
@example(b'{"cursor":"c","has_more":true,"items":[' + b'"\\')
def test_any_bytes_are_read_or_refused_and_nothing_else(content: bytes) -> None:
    with contextlib.suppress(ThirdPartyGenericError):
        read_page(content, Api.AUDIT)
    with contextlib.suppress(ThirdPartyGenericError):
        read_introspection(content)


# Time that a hostile body takes: linear in its size, whatever it holds

HEAD = b'{"cursor":"c","has_more":false,"items":['
SHAPES = {
    "lists within items": lambda size: b'{"x":' + b'{"items":[' * (size // 10),
    "items within a list": lambda size: b'{"x":[' + b'"items":[],' * (size // 11) + b"]}",
    "items without a list": lambda size: b"{" + b'"items" ' * (size // 8),
    "items and white space": lambda size: b'{"items"' + b" " * size,
    "escaped quotes without end": lambda size: HEAD + b'"' + b'\\"' * (size // 2),
    "backslashes without end": lambda size: HEAD + b'"' + b"\\" * (size | 1),
    "quotes": lambda size: b'"' * size,
    "numbers": lambda size: HEAD + b"1," * (size // 2) + b"NaN]}",
    "depth": lambda size: HEAD + b"[" * size,
    "one long poison": lambda size: HEAD + b'"' + b"x" * size + b'",NaN]}',
}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_hostile_body_is_done_with_in_time(shape: str) -> None:
    content = SHAPES[shape](300_000)  # where each byte were looked at for each other byte, this took minutes
    started = time.process_time()
    with contextlib.suppress(ThirdPartyGenericError):
        read_page(content, Api.AUDIT)
    assert time.process_time() - started < 5


# Introspection


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (
            b'{"uuid":"U","issued_at":"2026-01-02T03:04:05Z","features":["auditevents","x"],"account_uuid":"A"}',
            Introspection("U", frozenset({"auditevents", "x"}), "A"),
        ),
        (b'{"uuid":"U","features":["itemusages"]}', Introspection("U", frozenset({"itemusages"}), None)),
        (
            b'{"uuid":"U","features":[],"account_uuid":"","x":[1]}',
            Introspection("U", frozenset(), None),
        ),
        (b'{"uuid":"U","features":null,"account_uuid":null}', Introspection("U", frozenset(), None)),
        (
            b'{"UUID":"U","IssuedAt":"2026-01-02T03:04:05Z","Features":["signinattempts"]}',
            Introspection("U", frozenset({"signinattempts"}), None),
        ),
        (b'{"UUID":"U","Features":null}', Introspection("U", frozenset(), None)),
    ],
)
def test_an_introspection_in_both_forms(content: bytes, found: Introspection) -> None:
    assert read_introspection(content) == found


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'"auditevents"',
        b'{"status":"ok"}',
        b"<html></html>",
        b'{"uuid":"U","features":"auditevents"}',
        b'{"uuid":"U","features":{"auditevents":true}}',
        b'{"uuid":"U","features":[["auditevents"]]}',
        b'{"uuid":"U","features":5}',
        b'{"uuid":null,"features":[]}',
        b'{"uuid":"U","features":[],"account_uuid":5}',
        b"\xff",
        DEEP,
        b'{"uuid":"U","features":[],"x":' + DEEP + b"}",
    ],
    ids=lambda content: repr(content[:40]),
)
def test_what_is_no_introspection_says_nothing_of_the_token(content: bytes) -> None:
    with pytest.raises(ThirdPartyGenericError, match="introspection") as raised:
        read_introspection(content)
    assert raised.value.code == "invalid-body"


@pytest.mark.parametrize("api", Api)
def test_a_scope_allows_its_api_alone(api: Api) -> None:
    introspection = Introspection("U", frozenset({api.path}), None)
    assert [one for one in Api if introspection.allows(one)] == [api]


def test_the_names_of_the_apis() -> None:
    assert {api.value: (api.path, api.view) for api in Api} == {
        "sign-in": ("signinattempts", "sign_in_attempts"),
        "itemUsage": ("itemusages", "item_usages"),
        "audit": ("auditevents", "audit_events"),
    }
