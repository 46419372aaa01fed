"""Replacing parts of JSON text, found by a pattern that knows nothing of JSON, so that it stays JSON."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from blocks.siem.privacy import json_members

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

Span = tuple[int, int]
"""From the first byte to before the last."""
_ESCAPE = re.compile(rb"\\(?:u[0-9A-Fa-f]{4}|.)", re.DOTALL)
_CONTINUATION = 0b1100_0000, 0b1000_0000  # of a byte within a character in UTF-8: a mask, and what it leaves


def joined(spans: Iterable[Span]) -> list[Span]:
    """Spans in their order without those that are empty, and those that begin within another as one with it."""
    found: list[Span] = []
    for start, end in sorted(span for span in spans if span[0] < span[1]):
        if found and start < found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found


def replaced(data: bytes, spans: Sequence[Span], replacement: Callable[[bytes], bytes]) -> bytes:
    """JSON text with what stands in `spans` replaced; the very same object where nothing is.

    Of a text only the part that is in a span. A number, true and false become a text as a whole; null, the names of
    members and all between values stay. `replacement` is given JSON text, and its answer stands within a JSON string.
    `spans` are as `joined` returns them.
    """
    pieces: list[bytes] = []
    at, next_span = 0, 0
    for token in json_members.LEAF.finditer(data):
        while next_span < len(spans) and spans[next_span][1] <= token.start():
            next_span += 1
        if next_span == len(spans):
            break
        if token[1] or spans[next_span][0] >= token.end():
            continue
        new = _replaced_value(token[0], _within(spans, next_span, token.span()), replacement)
        pieces += [data[at : token.start()], new]
        at = token.end()
    changed = b"".join([*pieces, data[at:]])
    return data if changed == data else changed


def _within(spans: Sequence[Span], first: int, place: Span) -> Iterator[Span]:
    """The spans from that one on that reach into a place, counted from its beginning."""
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
    pieces, at = [], 0
    for start, end in joined(_whole_characters(value, spans)):
        pieces += [value[at:start], replacement(value[start:end])]
        at = end
    return b"".join([*pieces, value[at:]])


def _whole_characters(value: bytes, spans: Iterable[Span]) -> Iterator[Span]:
    """The spans without the quotes around a text, and with the whole of each character and escape that they touch."""
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
