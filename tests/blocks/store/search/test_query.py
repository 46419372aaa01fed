"""What a search asks for, in the numbers of the index."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.indexed_events import CollectedEvents, index_all

from blocks.store.search.query import SearchQuery, needles, plain_part, resolve, searchable

if TYPE_CHECKING:
    from sqlalchemy import Engine


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ('{"A":"É"}', '{"a":"é"}'),
        (r'{"a":"\u0026\u003c"}', '{"a":"&<"}'),
        (r'{"a":"\\u0026"}', r'{"a":"\\u0026"}'),
        (r'{"a":"\ud83c\udf39"}', '{"a":"🌹"}'),
    ],
)
def test_a_body_is_searched_without_case_and_escapes(body: str, expected: str) -> None:
    assert searchable(body) == expected


@given(st.text(min_size=1, max_size=20), st.booleans())
def test_each_text_is_found_in_a_body_that_has_it(searched: str, ascii_only: bool) -> None:
    """Controls, which JSON must escape, are not searched for: no form can send them."""
    if not all(letter >= " " for letter in searched):
        return
    body = json.dumps({"a": f"x{searched}y"}, ensure_ascii=ascii_only)
    forms = needles(searched)
    if '"' in searched and ascii_only:
        return  # the quote stays an escape
    assert any(form in searchable(body) for form in forms)
    assert plain_part(forms) in searchable(body)


def test_a_condition_without_a_number_has_no_result(engine: Engine) -> None:
    CollectedEvents(engine).audit("A")
    index_all(engine)
    with engine.connect() as connection:
        known = resolve(connection, SearchQuery(members={"user": ("ANA", "no-such-user")}, apis=("audit",)))
        unknown = resolve(connection, SearchQuery(members={"user": ("no-such-user",)}))
        backwards = resolve(connection, SearchQuery(5, 5))
    assert (known.is_empty, len(known.conditions)) == (False, 2)
    assert unknown.is_empty
    assert backwards.is_empty
