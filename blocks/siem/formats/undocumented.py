"""The members of a body that are not documented, as far as any index can store them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from blocks.events_api.vocabulary import EVENTS
from blocks.siem.formats import json_text
from blocks.siem.formats.body import INT64_MAX

if TYPE_CHECKING:
    from blocks.events_api.models import Api
    from blocks.events_api.vocabulary import Members, Shape

MEMBERS_MAX = 100
"""Members of one event. If there are more, all are ignored, because they would use up the fields of an index."""
DEPTH_MAX = 4
"""Levels of nested objects."""
NAME_MAX = 100  # characters


def _closed(members: Members) -> type[msgspec.Struct]:
    """Return a type that msgspec decodes without error only if all members are documented.

    This takes a tenth of the time of checking each name in Python. The fields have names of their own, because a name
    in JSON may be invalid in Python.
    """
    names = {f"member_{number}": name for number, name in enumerate(members)}
    fields = [_closed_field(field, members[name]) for field, name in names.items()]
    return msgspec.defstruct("Closed", fields, rename=names, forbid_unknown_fields=True, gc=False)


def _closed_field(field: str, shape: Shape) -> tuple[str, Any, Any]:
    if isinstance(shape, Mapping):
        return field, _closed(shape) | None, None
    return field, msgspec.Raw | msgspec.UnsetType, msgspec.UNSET


_CLOSED = {path: msgspec.json.Decoder(_closed(members)).decode for path, members in EVENTS.items()}


def undocumented_members(api: Api, body: str) -> dict[str, Any]:
    """Return the undocumented members, nested as in the body: `{"client": {"new": 1}}`. Raises nothing.

    It omits what could make an index reject the whole event: null, numbers beyond 64 bits, arrays of arrays or of
    several types, names that are empty or have a dot, and values that are nested too deeply.
    """
    if _is_documented(api, body):
        return {}
    found = _left(json_text.parse_object(body), EVENTS[api.path])
    return found if sum(1 for _ in _names(found)) <= MEMBERS_MAX else {}


def merge(target: dict[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Add the members of `other` to `target`, and merge objects that both have."""
    for name, value in other.items():
        present = target.get(name)
        target[name] = merge(present, value) if isinstance(present, dict) and isinstance(value, dict) else value
    return target


def _is_documented(api: Api, body: str) -> bool:
    """Return whether all members are documented, without reading a value. Invalid JSON returns False."""
    try:
        _CLOSED[api.path](body)
    except (ValueError, RecursionError):
        return False
    return True


def _left(found: Mapping[str, Any], known: Members) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name, value in found.items():
        if name not in known:
            left = _storable(value, 1) if _is_usable(name) else None
        elif isinstance(shape := known[name], Mapping) and isinstance(value, dict):
            left = _left(value, shape) or None
        else:
            left = None
        if left is not None:
            made[name] = left
    return made


def _is_usable(name: str) -> bool:
    return 0 < len(name) <= NAME_MAX and name.isprintable() and "." not in name and name.strip() == name


def _storable(value: object, depth: int) -> object:
    """Return the value, or None if it is omitted."""
    if isinstance(value, str | bool):
        return value
    if isinstance(value, int | float):
        return value if math.isfinite(value) and abs(value) <= INT64_MAX else None
    if isinstance(value, list):
        return _list(value, depth)
    if isinstance(value, dict) and depth < DEPTH_MAX:
        usable = {name: _storable(one, depth + 1) for name, one in value.items() if _is_usable(name)}
        return {name: left for name, left in usable.items() if left is not None} or None
    return None


def _list(values: list[Any], depth: int) -> list[Any] | None:
    kinds = {_kind(value) for value in values if value is not None}
    if len(kinds) != 1 or list in kinds:
        return None
    return [left for value in values if (left := _storable(value, depth)) is not None] or None


def _kind(value: object) -> type:
    return float if isinstance(value, int | float) and not isinstance(value, bool) else type(value)


def _names(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for name, one in value.items():
            yield name
            yield from _names(one)
    elif isinstance(value, list):
        for one in value:
            yield from _names(one)
