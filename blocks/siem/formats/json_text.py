"""Read and write JSON that holds anything a stored event may hold.

A stored body is valid JSON, but msgspec does not support all of it: lone surrogate escapes, numbers of any length, and
deep nesting pass the collector. So reading and writing have a slower fallback.
"""

from __future__ import annotations

import json
import math
from typing import Any

import msgspec

_encode = msgspec.json.Encoder().encode
_INT_DIGITS = 19  # digits of a number in 64 bits
_INT_LEAST = -(2**63)


def parse_object(body: str | bytes) -> dict[str, Any]:
    """Return the members of an object, or none if it is not an object or nested too deeply."""
    try:
        value = json.loads(body, parse_int=_number, parse_float=_number, parse_constant=str)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def to_json(value: object) -> bytes:
    """Return JSON in UTF-8 on one line. Lone surrogates are written as escapes."""
    try:
        return _encode(value)
    except ValueError:
        return json.dumps(value, separators=(",", ":"), default=_plain).encode()


def _number(digits: str) -> int | float | str:
    """Return a number, or its digits as a text if it does not fit into 64 bits."""
    figures = digits.removeprefix("-")
    if figures.isdigit() and len(figures) <= _INT_DIGITS and (whole := int(digits)) >= _INT_LEAST:
        return whole
    value = float(digits)
    return value if math.isfinite(value) else digits


def _plain(value: object) -> object:
    """Return a value in the form that msgspec would write."""
    if isinstance(value, msgspec.Raw):
        return json.loads(bytes(value))
    if isinstance(value, msgspec.Struct):
        named = {field.encode_name: getattr(value, field.name) for field in msgspec.structs.fields(value)}
        return {name: one for name, one in named.items() if one is not None}
    return str(value)
