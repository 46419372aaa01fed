"""Replace spans of JSON text, found by a pattern that knows nothing of JSON, and keep the text valid JSON."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from blocks.siem.privacy import json_members

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

Span = tuple[int, int]
"""The index of the first byte, and the index after the last one."""
_ESCAPE = re.compile(rb"\\(?:u[0-9A-Fa-f]{4}|.)", re.DOTALL)
_CONTINUATION = 0b1100_0000, 0b1000_0000  # of a byte within a character in UTF-8: a mask, and what it leaves


def merge_spans(spans: Iterable[Span]) -> list[Span]:
    """Return spans in order, without empty ones, and with overlapping ones merged."""
    found: list[Span] = []
    for start, end in sorted(span for span in spans if span[0] < span[1]):
        if found and start < found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found


def replace_spans(data: bytes, spans: Sequence[Span], replacement: Callable[[bytes], bytes]) -> bytes:
    """Return JSON text with its `spans` replaced, or the same object if nothing changes.

    In a text, only the part in a span is replaced. A number, true or false becomes a text as a whole. null, names of
    members and everything between values stay. `replacement` gets JSON text, and its result must be valid inside a JSON
    string. `spans` are the result of `merge_spans`.
    """
    parts: list[bytes] = []
    at, next_span = 0, 0
    for token in json_members.SCALAR.finditer(data):
        while next_span < len(spans) and spans[next_span][1] <= token.start():
            next_span += 1
        if next_span == len(spans):
            break
        if token[1] or spans[next_span][0] >= token.end():
            continue
        new = _replaced_value(token[0], _within(spans, next_span, token.span()), replacement)
        parts += [data[at : token.start()], new]
        at = token.end()
    changed = b"".join([*parts, data[at:]])
    return data if changed == data else changed


def _within(spans: Sequence[Span], first: int, place: Span) -> Iterator[Span]:
    """Yield the spans from index `first` that overlap a place, relative to its start."""
    for index in range(first, len(spans)):
        start, end = spans[index]
        if start >= place[1]:
            return
        yield start - place[0], end - place[0]


def _replaced_value(value: bytes, spans: Iterable[Span], replacement: Callable[[bytes], bytes]) -> bytes:
    if value == b"null":
        return value
    if value[:1] != b'"':
        return b'"%b"' % replacement(value)
    parts, at = [], 0
    for start, end in merge_spans(_whole_characters(value, spans)):
        parts += [value[at:start], replacement(value[start:end])]
        at = end
    return b"".join([*parts, value[at:]])


def _whole_characters(value: bytes, spans: Iterable[Span]) -> Iterator[Span]:
    """Yield the spans without the quotes around a text, extended to whole characters and escapes."""
    escapes = [found.span() for found in _ESCAPE.finditer(value)] if b"\\" in value else []
    for first, last in spans:
        start, end = max(first, 1), min(last, len(value) - 1)
        while start > 1 and _continues(value[start]):
            start -= 1
        while end < len(value) - 1 and _continues(value[end]):
            end += 1
        for before, after in escapes:
            start = before if before < start < after else start
            end = after if before < end < after else end
        yield start, end


def _continues(byte: int) -> bool:
    return byte & _CONTINUATION[0] == _CONTINUATION[1]
