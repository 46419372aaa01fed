"""What is the same for all events of one stream, event id and account: made once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from blocks.siem.formats.event import FormattedEvent, StreamMetadata

MOST = 1024  # a source has a few hundred at most
T = TypeVar("T")


class HeaderCache(Generic[T]):
    """Calls `make` for the first event of each kind. Threads may share it: at worst something is made twice."""

    def __init__(self, make: Callable[[FormattedEvent], T]) -> None:
        self._make = make
        self._found: dict[tuple[int, str, str | None], tuple[StreamMetadata, T]] = {}

    def get(self, shaped: FormattedEvent) -> T:
        key = (id(shaped.stream), shaped.event_id, shaped.account)
        found = self._found.get(key)
        if found is None:
            if len(self._found) >= MOST:
                self._found.clear()
            # The stream is kept, so that its address is no other stream's meanwhile.
            found = self._found[key] = (shaped.stream, self._make(shaped))
        return found[1]
