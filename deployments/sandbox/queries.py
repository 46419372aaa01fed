"""What a request selects: a first page, or the page after a cursor. Never both."""

from __future__ import annotations

import json
from typing import Any

from whenever import Instant

from deployments.sandbox.cursors import FOREVER, CursorState, read_cursor

DEFAULT_LIMIT = 100
LARGEST_LIMIT = 1000
HOUR_NS = 3600 * 1_000_000_000

_FIRST = ("limit", "start_time", "end_time")


class BadRequestError(Exception):
    """The request gets a 400 with this message."""


def read_query(raw: bytes, version: int, api: str, seed: int, now_ns: int) -> CursorState:
    """Unknown members are ignored, as 1Password's server does (it is written in Go)."""
    query = _read_object(raw)
    if query.get("cursor") is None:
        return _first(query, version, api, now_ns)
    if any(query.get(name) is not None for name in _FIRST):
        raise BadRequestError("cursor cannot be combined with limit, start_time or end_time")
    return _continued(query["cursor"], version, api, seed)


def read_time(value: object, name: str) -> int:
    """Ns since 1970 of an RFC 3339 time with 0 to 9 fractional digits and any offset."""
    try:
        ns = Instant.parse_iso(str(value)).timestamp(unit="nanosecond")
    except ValueError:
        raise BadRequestError(f"{name} must be an RFC 3339 time") from None
    return max(-FOREVER, min(ns, FOREVER))


def _read_object(raw: bytes) -> dict[str, Any]:
    try:
        query = json.loads(raw)
    except (ValueError, RecursionError):
        raise BadRequestError("the body is not JSON") from None
    if not isinstance(query, dict):
        raise BadRequestError("the body is not a JSON object")
    return query


def _first(query: dict[str, Any], version: int, api: str, now_ns: int) -> CursorState:
    end = query.get("end_time")
    end_ns = FOREVER if end is None else read_time(end, "end_time")
    start = query.get("start_time")
    an_hour_before = max(min(end_ns, now_ns) - HOUR_NS, -FOREVER)
    start_ns = an_hour_before if start is None else read_time(start, "start_time")
    if start_ns > end_ns:
        raise BadRequestError("start_time is after end_time")
    return CursorState(version, api, 0, _limit(query.get("limit")), start_ns, end_ns)


def _limit(value: object) -> int:
    if value is None:
        return DEFAULT_LIMIT
    # The API's description has it as a number: 1.0 is the same number as 1.
    if isinstance(value, int | float) and not isinstance(value, bool) and value in range(1, LARGEST_LIMIT + 1):
        return int(value)
    raise BadRequestError(f"limit must be a whole number from 1 to {LARGEST_LIMIT}")


def _continued(cursor: object, version: int, api: str, seed: int) -> CursorState:
    place = read_cursor(cursor, seed) if isinstance(cursor, str) else None
    if place is None or place.version != version or place.api != api:
        raise BadRequestError("invalid cursor")
    return place
