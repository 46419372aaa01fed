"""The worker outlives its server, ends its runs in good order, and leaves those of other machines alone."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from prefect.workers.process import ProcessWorker

from deployments.one_machine import worker_runs
from deployments.one_machine.worker import SourceWorker
from deployments.prefect_api import server_access

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

URL = "http://127.0.0.1:1/api"
RUN = {"id": "1", "state_type": "RUNNING"}


def _failing(error: Exception) -> Callable[..., Any]:
    async def fail(_: ProcessWorker) -> list[Any]:
        raise error

    return fail


def _status(code: int) -> httpx.HTTPStatusError:
    request = httpx.Request("POST", URL)
    return httpx.HTTPStatusError("refused", request=request, response=httpx.Response(code, request=request))


@pytest.mark.parametrize("error", [httpx.ConnectError("refused"), httpx.ReadTimeout("silence"), _status(502)])
def test_an_outage_of_the_server_never_ends_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    worker = SourceWorker(work_pool_name="pool", heartbeat_file=tmp_path / "beat")
    monkeypatch.setattr(worker, "_logger", logging.getLogger("test"))
    worker._last_polled_time -= timedelta(hours=1)
    with monkeypatch.context() as without_server:
        without_server.setattr(ProcessWorker, "get_and_submit_flow_runs", _failing(error))
        without_server.setattr(ProcessWorker, "sync_with_backend", _failing(error))
        for _ in range(50):
            assert asyncio.run(worker.get_and_submit_flow_runs()) == []
            asyncio.run(worker.sync_with_backend())
    assert not (tmp_path / "beat").exists(), "the watchdog sees that no poll was answered"
    assert worker.is_worker_still_polling(10), "a supervisor does not restart a worker that waits for its server"

    async def answer(_: ProcessWorker) -> list[Any]:
        return []

    monkeypatch.setattr(ProcessWorker, "get_and_submit_flow_runs", answer)
    asyncio.run(worker.get_and_submit_flow_runs())
    assert (tmp_path / "beat").exists()
    assert [record.message for record in caplog.records] == [
        f"The Prefect server does not answer ({type(error).__name__}). The worker waits until it does.",
        "The Prefect server answers again.",
    ]


def test_a_refusal_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ProcessWorker, "get_and_submit_flow_runs", _failing(_status(401)))
    with pytest.raises(httpx.HTTPStatusError):
        asyncio.run(SourceWorker(work_pool_name="pool").get_and_submit_flow_runs())


def test_runs_are_taken_up_when_they_are_due() -> None:
    assert SourceWorker(work_pool_name="pool", prefetch_seconds=10)._prefetch_seconds == 0


class Run:
    """A run that ends when it is signalled."""

    def __init__(self) -> None:
        self.signals: list[signal.Signals] = []
        self._ended = asyncio.Event()

    def signal(self, number: signal.Signals) -> None:
        self.signals.append(number)
        self._ended.set()

    async def wait(self) -> int:
        await self._ended.wait()
        return 0


def test_its_runs_end_in_good_order_before_it_does(monkeypatch: pytest.MonkeyPatch) -> None:
    worker, run = SourceWorker(work_pool_name="pool"), Run()
    monkeypatch.setattr(worker, "_running", {"1": run})

    async def end(_: ProcessWorker, *__: object) -> None:
        run.signals.append(signal.SIGKILL)  # Prefect's own way, which cancels what awaits them

    monkeypatch.setattr(ProcessWorker, "teardown", end)
    asyncio.run(worker.teardown(None, None, None))
    assert run.signals[0] == signal.SIGTERM


@pytest.mark.parametrize(("others", "ended"), [([], ["1"]), (["machine-two"], [])])
def test_runs_that_may_be_of_other_machines_are_not_ended(
    monkeypatch: pytest.MonkeyPatch, others: list[str], ended: list[str]
) -> None:
    found: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/workers/filter"):
            assert json.loads(request.content) == {"workers": {"status": {"any_": ["ONLINE"]}}}
            return httpx.Response(200, json=[{"name": name} for name in ["up", *others]])
        if request.url.path.endswith("/flow_runs/filter"):
            return httpx.Response(200, json=[RUN])
        found.append(request.url.path.split("/")[-2])
        return httpx.Response(201, json={})

    transport = httpx.MockTransport(answer)
    monkeypatch.setattr(server_access, "authenticated_client", lambda _: httpx.Client(transport=transport))
    assert worker_runs.end_crashed(URL, 5)
    assert found == ended
