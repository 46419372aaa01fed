"""What a request selects: a first page with its defaults and bounds, or the page after a cursor."""

from __future__ import annotations

import json
from typing import Any

import pytest

from deployments.sandbox.cursors import FOREVER, CursorState, write_cursor
from deployments.sandbox.queries import DEFAULT_LIMIT, HOUR_NS, BadRequestError, read_query, read_time

NOW_NS = 1_790_000_000 * 10**9
API = "auditevents"


def read(query: Any, **own: Any) -> CursorState:
    given = {"version": 2, "api": API, "seed": 1, "now_ns": NOW_NS, **own}
    return read_query(query if isinstance(query, bytes) else json.dumps(query).encode(), **given)


def test_without_members_it_is_the_last_hour() -> None:
    expected = CursorState(2, API, 0, DEFAULT_LIMIT, NOW_NS - HOUR_NS, FOREVER)
    assert read({}) == expected
    assert read({"cursor": None, "limit": None, "start_time": None, "unknown": 5}) == expected


def test_an_end_in_the_past_moves_the_start() -> None:
    found = read({"end_time": "1970-01-01T02:00:00Z"})
    assert (found.start_ns, found.end_ns) == (HOUR_NS, 2 * HOUR_NS)


def test_a_start_may_be_the_end_and_not_after_it() -> None:
    when = {"start_time": "1970-01-01T02:00:00Z", "end_time": "1970-01-01T02:00:00Z"}
    assert read(when).start_ns == 2 * HOUR_NS
    with pytest.raises(BadRequestError, match="start_time is after end_time"):
        read({**when, "end_time": "1970-01-01T01:59:59Z"})


@pytest.mark.parametrize("limit", [1, 1.0, 1000])
def test_a_limit_is_a_whole_number(limit: float) -> None:
    assert read({"limit": limit}).limit == int(limit)


@pytest.mark.parametrize("limit", [0, 1001, -1, 1.5, "5", True, [], {}])
def test_another_limit_is_a_bad_request(limit: object) -> None:
    with pytest.raises(BadRequestError, match="from 1 to 1000"):
        read({"limit": limit})


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "not a JSON object"),
        (b"5", "not a JSON object"),
    ],
)
def test_a_body_is_a_json_object(raw: bytes, message: str) -> None:
    with pytest.raises(BadRequestError, match=message):
        read(raw)


def test_a_cursor_stands_alone_and_belongs_to_its_request() -> None:
    state = CursorState(2, API, 7, 50, 0)
    cursor = write_cursor(state, 1)
    assert read({"cursor": cursor}) == state
    for more in ({"limit": 5}, {"start_time": "1970-01-01T00:00:00Z"}, {"end_time": "1970-01-01T00:00:00Z"}):
        with pytest.raises(BadRequestError, match="cannot be combined"):
            read({"cursor": cursor, **more})
    for own in ({"version": 1}, {"api": "itemusages"}, {"seed": 2}):
        with pytest.raises(BadRequestError, match="invalid cursor"):
            read({"cursor": cursor}, **own)
    for other in ("", 5, "x", []):
        with pytest.raises(BadRequestError, match="invalid cursor"):
            read({"cursor": other})


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("1970-01-01T00:00:00.000000001Z", 1),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1969-12-31T23:59:59Z", -(10**9)),
        ("9999-12-31T00:00:00Z", FOREVER),
    ],
)
def test_a_time_has_nine_digits_and_any_offset(text: str, ns: int) -> None:
    assert read_time(text, "start_time") == ns


@pytest.mark.parametrize("value", ["", "soon", "1970-01-01", 5, None])
def test_another_time_is_named(value: object) -> None:
    with pytest.raises(BadRequestError, match="start_time must be an RFC 3339 time"):
        read_time(value, "start_time")
