"""Split JSON into members without decoding their values, so that every number and text stays as it was sent."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, NamedTuple

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_encode = msgspec.json.Encoder().encode
_STRING = rb'"(?:[^"\\]++|\\.)*+"'
_TOKEN = re.compile(_STRING + rb"|[\[\]{},]", re.DOTALL)
_KEY = re.compile(rb"\s*+(" + _STRING + rb")\s*+:", re.DOTALL)
SCALAR = re.compile(_STRING + rb"(\s*+:)?|[^][{},:\s\"]++", re.DOTALL)
"""A scalar value, or a member's name. For a name, the group matches the colon after it."""
_SPACE = re.compile(rb"(" + _STRING + rb")|\s++", re.DOTALL)
_STEPS = {b"[": 1, b"{": 1, b"]": -1, b"}": -1}


class Member(NamedTuple):
    """One member of an object: its key as JSON and as a text, and its value as JSON."""

    text: bytes
    key: str
    value: bytes


def parse_fast(data: bytes) -> dict[str, msgspec.Raw] | None:
    """Return the members of an object, or None if `parse_slow` must split it: a key is repeated or has escapes."""
    try:
        found = _object.decode(data)
    except (ValueError, RecursionError):
        return None  # a lone surrogate, or deeper than the parser goes: both are JSON
    return found if _encode(found) == data else None


def parse_slow(data: bytes) -> list[Member]:
    """Return the members of any object in order, repeated keys included. Raises ValueError if it is not an object."""
    return [_member(part) for part in _split(data, b"{")]


def elements(data: bytes) -> list[bytes]:
    """Return the elements of an array. Raises ValueError if it is not an array, or holds arrays: no event has those."""
    found = [part.strip() for part in _split(data, b"[")]
    if any(element[:1] == b"[" for element in found):
        raise ValueError("an array in an array")  # each level would be split again: time without bound
    return found


def change_scalars(data: bytes, change: Callable[[bytes], bytes | None]) -> bytes | None:
    """Return a value with each scalar in it changed, keys excepted, or None if the value itself is a removed scalar."""
    if data[:1] not in {b"{", b"["}:
        return change(data)
    return SCALAR.sub(lambda found: found[0] if found[1] else change(found[0]) or b"null", data)


def compact(data: bytes) -> bytes:
    """Return JSON without white space between its members."""
    try:
        return msgspec.json.format(data, indent=-1)
    except (ValueError, RecursionError):  # as in `parse_fast`
        return _SPACE.sub(lambda found: found[1] or b"", data)


def join_fast(members: dict[str, msgspec.Raw]) -> bytes:
    return _encode(members)


def join_members(members: Iterable[Member]) -> bytes:
    return b"{%b}" % b",".join([b"%b:%b" % (text, value) for text, _, value in members])


def text_of(value: bytes) -> str:
    """Return the text of a JSON string, or the JSON of another value."""
    text = value.decode()
    found = json.loads(text, strict=False) if text.startswith('"') else text
    return str(found)


def find_values(data: bytes, path: tuple[str, ...]) -> Iterator[bytes]:
    """Yield the values at a path: several if a key is repeated, or if the path goes through an array."""
    if data[:1] == b"[":
        for element in elements(data):
            yield from find_values(element, path)
    elif not path:
        yield data
    elif data[:1] == b"{":
        for value in _named(data, path[0]):
            yield from find_values(value, path[1:])


def _named(data: bytes, key: str) -> list[bytes]:
    found = parse_fast(data)
    if found is None:
        return [member.value for member in parse_slow(data) if member.key == key]
    return [bytes(found[key])] if key in found else []


def _member(part: bytes) -> Member:
    key = _KEY.match(part)
    if key is None:
        raise ValueError("a member has no key")
    return Member(key[1], text_of(key[1]), part[key.end() :].strip())


def _split(data: bytes, opening: bytes) -> Iterator[bytes]:
    """Yield the parts between the outer brackets, split at commas. Nothing recurses, so any depth of nesting works."""
    if data[:1] != opening:
        raise ValueError("it does not begin with the expected bracket")
    at, depth = 1, 0
    for token in _TOKEN.finditer(data):
        kind = token.group()
        depth += _STEPS.get(kind, 0)
        if depth == 0:
            if part := data[at : token.start()].strip():
                yield part
            if data[token.end() :].strip():
                break
            return
        if kind == b"," and depth == 1:
            yield data[at : token.start()]
            at = token.end()
    raise ValueError("it does not end where it should")
