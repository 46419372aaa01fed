"""Live collection and a backfill at full speed share one account's rate windows, which the server counts itself."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from support.flow_runs import Source, outcome
from support.one_machine import wait_until

from blocks import clock
from blocks.events_api.client import EventsClient
from blocks.store import rate_limit_windows
from deployments.sandbox.process import SandboxProcess, running_sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from blocks.events_api.rate_limit import Grant

pytestmark = pytest.mark.prefect

LIMITS = [(8, 2.0), (25, 8.0)]


@pytest.fixture
def source(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Source]:
    monkeypatch.setenv(
        "ONEPASSWORD_SOURCE_RATE_LIMITS", " ".join(f"{requests}/{seconds:g}" for requests, seconds in LIMITS)
    )
    with running_sandbox(events=150, days=5, rate_windows=LIMITS) as sandbox:
        made = Source(f"1Pass {request.node.name}"[:50], f"sqlite:///{tmp_path / 'events.db'}", sandbox)
        made.save()
        yield made


def backfill(source: Source, **wishes: Any) -> Any:
    from flows.backfill import backfill as flow

    return flow(source.name, "5d", return_state=True, **wishes)


def refused(source: Source) -> int:
    return sum(each.get("429", 0) for each in source.sandbox.requests()["endpoints"].values())


def test_a_backfill_at_full_speed_is_never_refused_and_live_goes_on_beside_it(source: Source) -> None:
    assert outcome(source.collect()) == "Collected"
    with ThreadPoolExecutor(1) as pool:
        filling = pool.submit(backfill, source, readers=8)
        for _ in range(2):
            assert outcome(source.collect()) == "Collected"
        assert outcome(filling.result(120)) == "Backfilled"
    assert source.request_count() >= 15, "a window a day of three APIs"
    assert refused(source) == 0


@pytest.mark.torture
def test_without_the_budget_the_server_does_refuse(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the test above would show nothing."""
    monkeypatch.setenv("ONEPASSWORD_SOURCE_RATE_LIMITS", "off")
    backfill(source, readers=8)
    assert refused(source) > 0


HOUR = 3600.0
IN_AN_HOUR = [(50, 60.0), (300, HOUR)]
SHARE = int(0.8 * IN_AN_HOUR[1][0])
TICKS = 6


class ShiftedClock:
    """The system's, and the sandbox's, moved on to the next wake once all who may wait do."""

    def __init__(self, sandbox: SandboxProcess) -> None:
        self._sandbox = sandbox
        self._lock = threading.RLock()
        self._shift_ns = 0
        self._sleepers: list[int] = []
        self._since = time.monotonic()

        self.halt_ns = 0
        """The clock is not moved beyond this time: then another thread of the test acts."""

    def now_ns(self) -> int:
        return time.time_ns() + self._shift_ns

    def engine_delay(self, seconds: float) -> float:
        until_ns = self.now_ns() + int(seconds * 1e9)
        with self._lock:
            self._sleepers.append(until_ns)
            self._since = time.monotonic()
        while self.now_ns() < until_ns:
            time.sleep(0.005)
            with self._lock:
                ahead_ns = min(*self._sleepers, self.halt_ns) - self.now_ns()
                if ahead_ns > 0 and time.monotonic() - self._since > 0.1:  # all the others had time to come here too
                    self._sandbox.advance(ahead_ns / 1e9)
                    self._shift_ns += ahead_ns
        with self._lock:
            self._sleepers.remove(until_ns)
            self._since = time.monotonic()
        return 0.001


@pytest.mark.torture
def test_a_backfill_uses_its_share_of_an_hour_and_live_collection_never_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pages of ten events, so that there is more to ask for than an hour allows."""
    monkeypatch.setitem(EventsClient.first_page.__kwdefaults__, "limit", 10)
    waited: list[float] = []
    real = rate_limit_windows.acquire

    def take(*request: Any) -> Grant:
        granted = real(*request)
        if not granted.count:
            waited.append(request[4])
        return granted

    monkeypatch.setattr(rate_limit_windows, "acquire", take)
    with running_sandbox(events=3000, days=5) as sandbox:
        source = Source("1Pass an hour", f"sqlite:///{tmp_path / 'events.db'}", sandbox)
        source.save()
        assert outcome(source.collect()) == "Collected"  # before there are limits
        sandbox.clear_requests()
        sandbox.rates(*IN_AN_HOUR)
        monkeypatch.setenv(
            "ONEPASSWORD_SOURCE_RATE_LIMITS", " ".join(f"{number}/{seconds:g}" for number, seconds in IN_AN_HOUR)
        )
        shifted = ShiftedClock(sandbox)
        monkeypatch.setattr(clock, "clock", shifted)
        begun_ns = shifted.now_ns()
        with ThreadPoolExecutor(1) as pool:
            filling = pool.submit(backfill, source)
            for tick in range(1, TICKS + 1):
                shifted.halt_ns = begun_ns + int(tick * HOUR / TICKS * 1e9) - 30 * 10**9
                wait_until(lambda: shifted.now_ns() >= shifted.halt_ns or filling.done(), 120)
                assert not filling.done()
                sandbox.arrive("auditevents", 3)
                assert "3 new events" in (source.collect().message or "")
            requests = source.request_count()
            shifted.halt_ns += int(10 * HOUR * 1e9)
            assert outcome(filling.result(120)) == "Backfilled"
        assert requests >= 0.95 * SHARE
        assert 0.8 in waited, "there was more to ask for than it was allowed"
        assert 1.0 not in waited, "live collection was kept waiting"
        assert refused(source) == 0
