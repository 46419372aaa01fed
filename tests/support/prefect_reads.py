"""Read all objects of a Prefect server, which returns 200 at most in a single answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

PAGE = 200


def read_all(read: Callable[..., list[Any]]) -> list[Any]:
    """All objects that a method of the client returns, read page by page."""
    found: list[Any] = []
    while page := read(limit=PAGE, offset=len(found)):
        found += page
    return found
