"""Spans of JSON text are replaced, and the text stays JSON."""

from __future__ import annotations

import json

import pytest

from blocks.siem.privacy import json_text_spans
from blocks.siem.privacy.json_text_spans import Span


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        ([], []),
        ([(3, 3), (5, 4)], []),
        ([(4, 6), (0, 2)], [(0, 2), (4, 6)]),
        ([(0, 5), (3, 8), (8, 9)], [(0, 8), (8, 9)]),
        ([(0, 9), (2, 3)], [(0, 9)]),
    ],
)
def test_overlapping_spans_are_merged(spans: list[Span], expected: list[Span]) -> None:
    assert json_text_spans.merge_spans(spans) == expected


@pytest.mark.parametrize(
    ("data", "spans", "expected"),
    [
        ('{"a":"secret"}', [(7, 9)], '{"a":"s*ret"}'),
        ('{"a":123}', [(6, 7)], '{"a":"*"}'),
        ('{"a":true,"b":null}', [(5, 18)], '{"a":"*","b":null}'),
        ('{"a":"x"}', [(0, 4)], '{"a":"x"}'),
        ('{"a":"x\\u0041y"}', [(9, 10)], '{"a":"x*y"}'),
        ('{"a":"é"}', [(7, 8)], '{"a":"*"}'),
    ],
)
def test_only_values_are_replaced_and_whole_characters(data: str, spans: list[Span], expected: str) -> None:
    changed = json_text_spans.replace_spans(data.encode(), spans, lambda _: b"*").decode()
    assert changed == expected
    json.loads(changed)


def test_nothing_to_replace_gives_the_same_object() -> None:
    data = b'{"a":"x"}'
    assert json_text_spans.replace_spans(data, [], lambda _: b"*") is data
    assert json_text_spans.replace_spans(data, [(1, 3)], lambda _: b"*") is data
