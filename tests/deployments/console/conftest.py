"""The console over a store on either database, and who looks at it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.chains import Filled
from support.console_client import ConsoleClient, ServedConsole
from support.forwarding import Pair
from support.new_sources import FakeApply
from support.siem_pages import FakeActions
from support.values import SOURCE

from blocks import settings
from blocks.events_api.models import Api
from blocks.store import sources
from deployments import deferred
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


@pytest.fixture
def filled(store: Engine) -> Filled:
    """SOURCE with two audit events and two items in quarantine."""
    sources.save(store, SOURCE)
    made = Filled(store)
    made.commit(Api.AUDIT, 2, rejected=2)
    return made


@pytest.fixture
def pair(store: Engine) -> Pair:
    """SOURCE with six audit events that wait for a SIEM."""
    made = Pair.create(store)
    made.filled.commit(Api.AUDIT, 6)
    return made


@pytest.fixture
def actions(store: Engine, monkeypatch: pytest.MonkeyPatch) -> FakeActions:
    """What the pages call on a SIEM, without a Prefect server."""
    fake = FakeActions(store)
    monkeypatch.setattr(deferred, "siem_actions", fake, raising=False)
    return fake


@pytest.fixture
def applied(monkeypatch: pytest.MonkeyPatch) -> FakeApply:
    """What a page applies, without a Prefect server."""
    fake = FakeApply()
    monkeypatch.setattr(deferred, "sources", fake, raising=False)
    monkeypatch.setattr(deferred, "source_apply", fake, raising=False)
    return fake
