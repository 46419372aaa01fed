"""The console over a store on either database, and who looks at it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.console_client import ConsoleClient, ServedConsole

from blocks import settings
from deployments.console.sessions import Role

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine


@pytest.fixture
def store(engine: Engine, store_url: str, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """The store that the console reads."""
    monkeypatch.setenv("ONEPASSWORD_SOURCE_DATABASE_URL", store_url)
    (settings.data_dir() / "check-results.json").unlink(missing_ok=True)  # of another test's store
    return engine


@pytest.fixture
def client(store: Engine) -> Iterator[ConsoleClient]:
    """Without a session."""
    served = ServedConsole()
    yield ConsoleClient(served)
    served.close()


@pytest.fixture
def operator(client: ConsoleClient) -> ConsoleClient:
    return client.as_role(Role.OPERATOR)


@pytest.fixture
def viewer(client: ConsoleClient) -> ConsoleClient:
    return client.as_role(Role.VIEWER)
