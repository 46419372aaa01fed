"""JSON from a file that a person wrote: exactly RFC 8259, and a problem with its place for everything else."""

from __future__ import annotations

import codecs
import json
import math
from typing import TYPE_CHECKING

from blocks.problems import ConfigurationError, Problem, json_path

if TYPE_CHECKING:
    from collections.abc import Iterator

DIGITS_MAX = 300  # Python refuses to read integers of more than 4300 digits
_WIDE = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class Members(dict[str, object]):
    """A JSON object that remembers which of its keys stood there more than once."""

    repeated: tuple[str, ...] = ()


def decode(data: bytes, expected: str = "JSON") -> object:
    """The value of a JSON text in UTF-8 (its byte order mark is passed over). Raises ConfigurationError.

    `expected` is what its problem says if the text is no JSON at all.
    """
    text = _text_of(data)
    try:
        return json.loads(
            text,
            object_pairs_hook=_members,
            parse_int=_int,
            parse_float=_float,
            parse_constant=_no_constant,
        )
    except json.JSONDecodeError as error:
        why = f"{error.msg} in line {error.lineno}, column {error.colno}"
    except RecursionError:
        why = "it is nested too deeply"
    except ValueError as error:
        why = str(error)
    raise ConfigurationError([Problem("$", f"the file is not JSON: {why}", expected)])


def repeated_keys(value: object) -> Iterator[Problem]:
    """A problem for every key that stands more than once in its object."""
    waiting: list[tuple[str, object]] = [("$", value)]
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, Members):
            for key in value.repeated:
                yield Problem(json_path(path, key), "the key stands there more than once", "each key once")
            waiting += [(json_path(path, key), member) for key, member in value.items()]
        elif isinstance(value, list):
            waiting += [(json_path(path, index), element) for index, element in enumerate(value)]


def _text_of(data: bytes) -> str:
    if data.startswith(_WIDE):
        raise ConfigurationError([Problem("$", "the file is not UTF-8 but UTF-16 or UTF-32", "JSON in UTF-8")])
    bom = len(codecs.BOM_UTF8) if data.startswith(codecs.BOM_UTF8) else 0
    try:
        return data[bom:].decode()
    except UnicodeDecodeError as error:
        place = bom + error.start
        problem = f"the file is not UTF-8: the byte 0x{data[place]:02x} at offset {place} cannot stand there"
    raise ConfigurationError([Problem("$", problem, "JSON in UTF-8")])


def _members(pairs: list[tuple[str, object]]) -> Members:
    members = Members(pairs)
    if len(members) < len(pairs):
        keys = [key for key, _ in pairs]
        members.repeated = tuple(key for key in members if keys.count(key) > 1)
    return members


def _int(text: str) -> int:
    if len(text) > DIGITS_MAX:
        raise ValueError(f"a number has more than {DIGITS_MAX} digits")
    return int(text)


def _float(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError("a number is too large")
    return value


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON value")
