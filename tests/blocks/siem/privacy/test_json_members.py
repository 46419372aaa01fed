"""Members of JSON are found and joined without changing the bytes of their values."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.siem.privacy import json_members
from blocks.siem.privacy.json_members import Member

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=5), JSON, max_size=4), st.sampled_from([None, 1]), st.booleans())
def test_slow_parsing_finds_every_member_and_joining_gives_the_same_object(
    value: dict[str, Any], indent: int | None, ascii_only: bool
) -> None:
    data = json.dumps(value, indent=indent, ensure_ascii=ascii_only).encode(errors="surrogatepass")
    members = json_members.parse_slow(data)
    assert {member.key: json.loads(member.value) for member in members} == value
    assert json.loads(json_members.join_members(members)) == value


def test_repeated_keys_and_escapes_need_slow_parsing() -> None:
    assert json_members.parse_fast(b'{"a":1}') is not None
    assert json_members.parse_fast(b'{"a":1,"a":2}') is None
    assert json_members.parse_fast(b'{"\\u0061":1}') is None
    assert json_members.parse_slow(b'{"a":1.0, "\\u0061":2}') == [
        Member(b'"a"', "a", b"1.0"),
        Member(b'"\\u0061"', "a", b"2"),
    ]


@pytest.mark.parametrize("data", [b"", b"[]", b'{"a":1', b'{"a":1}x', b"{1:2}", b'"{}"'])
def test_what_is_not_an_object_raises(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        json_members.parse_slow(data)


def test_elements_of_an_array_are_split_at_its_commas() -> None:
    assert json_members.elements(b'[1, {"a":[2,3]},"x,y"]') == [b"1", b'{"a":[2,3]}', b'"x,y"']
    with pytest.raises(ValueError, match="an array in an array"):
        json_members.elements(b"[[1]]")


def test_values_are_found_in_arrays_and_under_repeated_keys() -> None:
    data = b'{"a":[{"b":1},{"b":2},{"c":3}],"a":{"b":4}}'
    assert list(json_members.find_values(data, ("a", "b"))) == [b"1", b"2", b"4"]


def test_scalars_are_changed_and_keys_are_not() -> None:
    data = b'{"a":1,"b":["x",null],"c":{"d":true}}'
    changed = json_members.change_scalars(data, lambda value: None if value == b"1" else b'"*"')
    assert changed == b'{"a":null,"b":["*","*"],"c":{"d":"*"}}'
    assert json_members.change_scalars(b"1", lambda _: None) is None


@pytest.mark.parametrize("data", [b'{ "a" : [ 1 , 2 ] }', b'{ "a b" : "\\ud800 " }'])
def test_compact_json_has_no_white_space_between_members(data: bytes) -> None:
    compact = json_members.compact(data)
    assert json.loads(compact) == json.loads(data)
    assert b" :" not in compact
    assert b": " not in compact


@pytest.mark.parametrize(("value", "text"), [(b'"\\u0061b"', "ab"), (b"1.50", "1.50"), (b"true", "true")])
def test_the_text_of_a_value(value: bytes, text: str) -> None:
    assert json_members.text_of(value) == text
