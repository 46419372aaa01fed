"""A cache for what is the same for all events with one stream, event id and account, such as headers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from blocks.siem.formats.event import FormattedEvent, StreamMetadata

CACHE_SIZE = 1024  # a source has at most a few hundred
T = TypeVar("T")


class HeaderCache(Generic[T]):
    """Calls `make` for the first event of each kind. Threads may share it: at worst, a value is made twice."""

    def __init__(self, make: Callable[[FormattedEvent], T]) -> None:
        self._make = make
        self._values: dict[tuple[StreamMetadata, str, str | None], T] = {}

    def get(self, formatted: FormattedEvent) -> T:
        key = (formatted.stream, formatted.event_id, formatted.account)
        try:
            return self._values[key]
        except KeyError:
            value = self._make(formatted)
        if len(self._values) >= CACHE_SIZE:
            self._values.clear()
        self._values[key] = value
        return value
