"""Reading and writing JSON that may hold whatever a stored event may hold.

A stored body is legal JSON, but not always such as msgspec takes: lone surrogate escapes, numbers of any length, and
deep nesting pass the collector. So both ways have a slower one behind them, and none of them raises.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


def members(body: str | bytes) -> dict[str, Any]:
    """The members of an object; none where it is no object or nested too deeply."""
    try:
        value = _decode(body)
    except (ValueError, RecursionError):
        value = _slowly(body)
    return value if isinstance(value, dict) else {}


def encoded(value: object) -> bytes:
    """In UTF-8, on one line; lone surrogates as the escapes that they came as."""
    try:
        return _encode(value)
    except (ValueError, OverflowError, RecursionError):
        return json.dumps(value, separators=(",", ":"), default=str).encode()


def _slowly(body: str | bytes) -> object:
    try:
        # float takes a number of any length, where int would refuse it
        return json.loads(body, parse_int=_number, parse_constant=lambda _: None)
    except (ValueError, RecursionError):
        return None


def _number(digits: str) -> float:
    return int(digits) if len(digits) < _INT_DIGITS else float(digits)


_INT_DIGITS = 19  # what every reader's 64 bits hold
