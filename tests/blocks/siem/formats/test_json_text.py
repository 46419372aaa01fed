"""JSON that msgspec does not support is read and written all the same."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.siem.formats import json_text

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


class Part(msgspec.Struct, omit_defaults=True, rename={"name": "@name"}):
    name: str | None = None
    raw: msgspec.Raw = msgspec.field(default_factory=lambda: msgspec.Raw(b"[1]"))


@given(st.dictionaries(st.text(), JSON, max_size=5))
def test_what_is_written_is_read_again(value: dict[str, Any]) -> None:
    assert json_text.parse_object(json_text.to_json(value)) == value


@pytest.mark.parametrize("number", [-(2**63), -(10**18) - 1, 2**63 - 1])
def test_a_number_of_19_digits_stays_whole_whatever_its_sign(number: int) -> None:
    assert json_text.parse_object(f'{{"n":{number}}}') == {"n": number}


@pytest.mark.parametrize("body", ["", "[]", "5", '"x"', "null", "{", "[" * 100_000])
def test_what_is_not_an_object_has_no_members(body: str) -> None:
    assert json_text.parse_object(body) == {}


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        ("1", 1),
        ("-7", -7),
        ("1.50e+3", 1500.0),
        ("9" * 19, 9999999999999999999),
        ("-1000000000000000001", -1000000000000000001),
        ("9" * 20, 1e20),
        ("1e999", "1e999"),
        ("-1e999", "-1e999"),
    ],
)
def test_a_number_beyond_a_double_stays_a_text(number: str, expected: object) -> None:
    assert json_text.parse_object(f'{{"n":{number}}}') == {"n": expected}


def test_a_lone_surrogate_is_written_as_an_escape() -> None:
    assert json_text.to_json({"a": "\ud800"}) == b'{"a":"\\ud800"}'


def test_a_struct_with_a_lone_surrogate_is_written_as_msgspec_would() -> None:
    plain, odd = json_text.to_json(Part("x")), json_text.to_json(Part("\ud800"))
    assert json.loads(plain) == {"@name": "x", "raw": [1]} or json.loads(plain) == {"@name": "x"}
    assert json.loads(odd)["@name"] == "\ud800"
