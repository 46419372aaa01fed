"""JSON cut into its members without reading what they hold, so that every number and text stays as it was sent."""

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
LEAF = re.compile(_STRING + rb"(\s*+:)?|[^][{},:\s\"]++", re.DOTALL)
"""A value that is no object and no array, or the name of a member, which has the group: the colon behind it."""
_SPACE = re.compile(rb"(" + _STRING + rb")|\s++", re.DOTALL)
_STEPS = {b"[": 1, b"{": 1, b"]": -1, b"}": -1}


class Member(NamedTuple):
    """One member of an object: its key as JSON and as text, and its value as JSON."""

    text: bytes
    key: str
    value: bytes


def quickly(data: bytes) -> dict[str, msgspec.Raw] | None:
    """The members of an object, or None where they have to be cut slowly: a key is repeated or spelt with escapes."""
    try:
        found = _object.decode(data)
    except (ValueError, RecursionError):
        return None  # a lone surrogate, or deeper than the parser goes: both are JSON
    return found if _encode(found) == data else None


def slowly(data: bytes) -> list[Member]:
    """The members of any object in their order, repeated ones too. Raises ValueError where it is none."""
    return [_member(piece) for piece in _pieces(data, b"{")]


def elements(data: bytes) -> list[bytes]:
    """The elements of an array. Raises ValueError where it is none, or holds arrays: no event has such."""
    found = [piece.strip() for piece in _pieces(data, b"[")]
    if any(element[:1] == b"[" for element in found):
        raise ValueError("an array stands in an array")  # each would be cut anew: time without bound
    return found


def of_leaves(data: bytes, change: Callable[[bytes], bytes | None]) -> bytes | None:
    """The value with all that it holds changed, apart from keys; None where it is a text or number that goes."""
    if data[:1] not in {b"{", b"["}:
        return change(data)
    return LEAF.sub(lambda found: found[0] if found[1] else change(found[0]) or b"null", data)


def compact(data: bytes) -> bytes:
    """JSON without the white space between its members."""
    try:
        return msgspec.json.format(data, indent=-1)
    except (ValueError, RecursionError):  # as in `quickly`
        return _SPACE.sub(lambda found: found[1] or b"", data)


def joined_quickly(found: dict[str, msgspec.Raw]) -> bytes:
    return _encode(found)


def joined(found: Iterable[Member]) -> bytes:
    return b"{%b}" % b",".join([b"%b:%b" % (text, value) for text, _, value in found])


def text_of(value: bytes) -> str:
    """The text that a JSON string stands for; of another value, its JSON."""
    text = value.decode()
    found = json.loads(text, strict=False) if text.startswith('"') else text
    return str(found)


def values(data: bytes, path: tuple[str, ...]) -> Iterator[bytes]:
    """What stands at a path: several values where a key is repeated, or where there is an array on the way."""
    if data[:1] == b"[":
        for element in elements(data):
            yield from values(element, path)
    elif not path:
        yield data
    elif data[:1] == b"{":
        for value in _named(data, path[0]):
            yield from values(value, path[1:])


def _named(data: bytes, key: str) -> list[bytes]:
    found = quickly(data)
    if found is None:
        return [member.value for member in slowly(data) if member.key == key]
    return [bytes(found[key])] if key in found else []


def _member(piece: bytes) -> Member:
    key = _KEY.match(piece)
    if key is None:
        raise ValueError("a member has no key")
    return Member(key[1], text_of(key[1]), piece[key.end() :].strip())


def _pieces(data: bytes, opening: bytes) -> Iterator[bytes]:
    """What stands between the outer brackets, cut at its commas; at any depth, since nothing recurses."""
    if data[:1] != opening:
        raise ValueError("it is something else")
    at, depth = 1, 0
    for token in _TOKEN.finditer(data):
        kind = token.group()
        depth += _STEPS.get(kind, 0)
        if depth == 0:
            if piece := data[at : token.start()].strip():
                yield piece
            if data[token.end() :].strip():
                break
            return
        if kind == b"," and depth == 1:
            yield data[at : token.start()]
            at = token.end()
    raise ValueError("it does not end where it should")
