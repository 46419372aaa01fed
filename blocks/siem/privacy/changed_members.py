"""Which members of an event rules have changed or removed: found by comparing the event before and after."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator


def changed_members(before: str, after: bytes) -> list[str]:
    """The paths, with dots, of members whose value differs or is gone. Empty if one of the two cannot be parsed."""
    try:
        was, is_now = msgspec.json.decode(before), msgspec.json.decode(after)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return []
    return list(_changed(was, is_now, ""))


def _changed(was: Any, is_now: Any, path: str) -> Iterator[str]:
    if not isinstance(was, dict) or not isinstance(is_now, dict):
        if was != is_now:
            yield path
        return
    for name, value in was.items():
        inner = f"{path}.{name}" if path else name
        if name in is_now:
            yield from _changed(value, is_now[name], inner)
        else:
            yield inner
