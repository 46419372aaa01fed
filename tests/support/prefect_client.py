"""A client of a Prefect server that a test writes, in the place of the one that a module gets."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    import pytest

Client = TypeVar("Client")


def give_client(monkeypatch: pytest.MonkeyPatch, module: ModuleType, client: Client) -> Client:
    """Make this client what `get_client(sync_client=True)` returns in a module."""

    @contextmanager
    def get_client(*, sync_client: bool) -> Iterator[Client]:
        assert sync_client
        yield client

    monkeypatch.setattr(module, "get_client", get_client)
    return client
