"""Prefect's server and its workers, as the console shows them."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from prefect.client.schemas.objects import WorkerStatus
from prefect.exceptions import ObjectNotFound

from blocks.errors import FirstPartyGenericError
from deployments.prefect_api import server_state
from deployments.prefect_api.server_state import WorkerState

SEEN = datetime(2026, 11, 29, tzinfo=UTC)


class Client:
    """What the client of Prefect answers."""

    api_url = "http://127.0.0.1:4200/api/"

    def __init__(self, failure: Exception | None = None) -> None:
        self.failure = failure

    def api_version(self) -> str:
        if isinstance(self.failure, httpx.HTTPError):
            raise self.failure
        return "3.9.1"

    def read_work_pool(self, _: str) -> Any:
        if self.failure is not None:
            raise self.failure
        return SimpleNamespace(is_paused=True)

    def read_workers_for_work_pool(self, _: str) -> list[Any]:
        return [
            SimpleNamespace(name="a", status=WorkerStatus.OFFLINE, last_heartbeat_time=None),
            SimpleNamespace(name="b", status=WorkerStatus.ONLINE, last_heartbeat_time=SEEN),
        ]


def answering(monkeypatch: pytest.MonkeyPatch, client: Client) -> None:
    monkeypatch.setattr(server_state, "get_client", lambda **_: nullcontext(client))


def test_workers_that_are_online_stand_first(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, Client())
    found = server_state.read_state()
    assert (found.url, found.version, found.pool_paused) == (Client.api_url, "3.9.1", True)
    seen_ns = int(SEEN.timestamp()) * 10**9
    assert found.workers == (WorkerState("b", True, seen_ns), WorkerState("a", False, None))


def test_without_a_work_pool_there_are_no_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, Client(ObjectNotFound(Exception())))
    assert server_state.read_state().workers == ()


def test_a_server_that_does_not_answer_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, Client(httpx.ConnectError("no")))
    with pytest.raises(FirstPartyGenericError, match=r"does not answer \(ConnectError\)"):
        server_state.read_state()
