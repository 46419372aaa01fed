"""The worker outlives its server, ends its runs in good order, and leaves those of other machines alone."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
from datetime import timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import anyio
import httpx
import pytest
from prefect.workers.process import ProcessWorker

from deployments.one_machine import worker as worker_module
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

    pid = 1

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


class Forker:
    """Forks runs, each of which it keeps; `meanwhile` is called while the process is made."""

    def __init__(self, meanwhile: Callable[[], None] = lambda: None) -> None:
        self.made: list[Run] = []
        self._meanwhile = meanwhile

    async def fork(self, *_: object) -> Run:
        self._meanwhile()
        self.made.append(Run())
        return self.made[-1]


def _run(worker: SourceWorker) -> asyncio.Task[Any]:
    flow_run: Any = SimpleNamespace(id=uuid4())
    return asyncio.get_running_loop().create_task(worker._run_forked(flow_run, {}, anyio.TASK_STATUS_IGNORED))


def test_a_run_that_waits_for_its_turn_does_not_start_once_the_worker_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    """The runs that end make room for it; its claims would stay when it is killed with the worker."""
    worker, forker = SourceWorker(work_pool_name="pool"), Forker()
    monkeypatch.setattr(worker, "_warm", forker)
    monkeypatch.setattr(worker_module, "related_objects", lambda *_: {})

    async def stop_with_one_in_the_queue() -> None:
        worker._starting = asyncio.Semaphore(1)
        monkeypatch.setattr(worker, "_watch_cancellations", lambda: None)
        first, second = _run(worker), _run(worker)
        await asyncio.sleep(0)
        await worker.stop_runs()
        await asyncio.wait_for(asyncio.gather(first, second), 10)

    asyncio.run(stop_with_one_in_the_queue())
    assert [run.signals[0] for run in forker.made] == [signal.SIGTERM]


def test_a_run_whose_process_is_made_while_the_worker_stops_is_ended_too(monkeypatch: pytest.MonkeyPatch) -> None:
    worker = SourceWorker(work_pool_name="pool")
    forker = Forker(lambda: setattr(worker, "_is_stopping", True))
    monkeypatch.setattr(worker, "_warm", forker)
    monkeypatch.setattr(worker, "_watch_cancellations", lambda: None)
    monkeypatch.setattr(worker_module, "related_objects", lambda *_: {})

    async def run() -> None:
        await _run(worker)

    asyncio.run(run())
    assert [run.signals[0] for run in forker.made] == [signal.SIGTERM]


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
