"""Reading and writing JSON that may hold whatever a stored event may hold.

A stored body is legal JSON, but not always such as msgspec takes: lone surrogate escapes, numbers of any length, and
deep nesting pass the collector. So both ways have a slower one behind them.
"""

from __future__ import annotations

import json
import math
from typing import Any

import msgspec

_encode = msgspec.json.Encoder().encode
_INT_DIGITS = 19  # what 64 bits hold


def parse_object(body: str | bytes) -> dict[str, Any]:
    """The members of an object; none where it is no object or nested too deeply."""
    try:
        value = json.loads(body, parse_int=_number, parse_float=_number, parse_constant=str)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def to_json(value: object) -> bytes:
    """In UTF-8, on one line; lone surrogates as the escapes that they came as."""
    try:
        return _encode(value)
    except ValueError:
        return json.dumps(value, separators=(",", ":"), default=_plain).encode()


def _number(digits: str) -> int | float | str:
    """What no reader can hold stays a text."""
    if digits.lstrip("-").isdigit() and len(digits) <= _INT_DIGITS:
        return int(digits)
    value = float(digits)
    return value if math.isfinite(value) else digits


def _plain(value: object) -> object:
    """As msgspec would have written it."""
    if isinstance(value, msgspec.Raw):
        return json.loads(bytes(value))
    if isinstance(value, msgspec.Struct):
        named = {field.encode_name: getattr(value, field.name) for field in msgspec.structs.fields(value)}
        return {name: one for name, one in named.items() if one is not None}
    return str(value)
