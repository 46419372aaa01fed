"""Reads of a Prefect server that many tests share: a single answer holds 200 objects at most."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

PAGE = 200


def read_all(read: Callable[..., list[Any]]) -> list[Any]:
    """Everything that a client's method returns, page by page."""
    found: list[Any] = []
    while page := read(limit=PAGE, offset=len(found)):
        found += page
    return found
