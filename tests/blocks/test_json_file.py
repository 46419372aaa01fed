"""JSON that a person wrote: RFC 8259 only, and each problem with its place."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks import json_file
from blocks.problems import ConfigurationError

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(VALUES)
def test_every_json_value_is_read_as_the_standard_library_reads_it(value: object) -> None:
    text = json.dumps(value, ensure_ascii=False).encode(errors="surrogatepass")
    try:
        text.decode()
    except UnicodeDecodeError:
        return
    assert json_file.decode(text) == value


def test_a_byte_order_mark_of_utf8_is_skipped() -> None:
    assert json_file.decode(b"\xef\xbb\xbf{}") == {}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"{", "line 1, column 2"),
        (b"[NaN]", "NaN is no JSON value"),
        (b"[-Infinity]", "-Infinity is no JSON value"),
        (b"[1e999]", "a number is too large"),
        (b"[" + b"9" * 301 + b"]", "more than 300 digits"),
        (b"[" * 100_000, "nested too deeply"),
        (b'["\xff"]', "the byte 0xff at offset 2"),
        (b'\xef\xbb\xbf["\xff"]', "the byte 0xff at offset 5"),
        ("{}".encode("utf-16"), "UTF-16 or UTF-32"),
    ],
)
def test_what_is_no_json_is_one_problem_of_the_file(data: bytes, words: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        json_file.decode(data)
    (problem,) = raised.value.problems
    assert problem.path == "$"
    assert words in problem.description


def test_each_repeated_key_has_its_place() -> None:
    value = json_file.decode(b'{"a": 1, "a": 2, "b": [{"c": 1, "c": 2, "c": 3}], "d d": {"e": 1, "e": 1}}')
    assert {problem.path for problem in json_file.repeated_keys(value)} == {"$.a", "$.b[0].c", '$["d d"].e'}
    assert list(json_file.repeated_keys(json_file.decode(b'{"a": {"a": [1, 1]}}'))) == []
