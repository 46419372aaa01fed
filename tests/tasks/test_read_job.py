"""A run reads the windows of its job, several at once, and says what it did and what is left."""

from __future__ import annotations

from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

import pytest
from prefect.logging import disable_run_logger
from sqlalchemy import text
from support.moving_clock import START_NS
from support.values import SOURCE

from blocks.errors import ClaimLostError, FirstPartyGenericError, ThirdPartyConfigError
from blocks.events_api.models import Api
from blocks.store import sources
from blocks.store.backfill import jobs
from blocks.store.backfill.jobs import BACKFILL, RECONCILE, JobRequest
from tasks import attempts, read_job, run_state
from tasks.support import job as job_module
from tasks.support import source as opened_sources
from tasks.support import stopping
from tasks.support.job import OpenedJob

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from prefect.client.schemas.objects import State
    from sqlalchemy import Engine
    from support.moving_clock import MovingClock

    from blocks.store.backfill.windows import WindowClaim
    from tasks.verdict import Verdict

    Rows = Callable[[str], list[tuple[object, ...]]]

pytestmark = [
    pytest.mark.parametrize("store_url", ["sqlite"], indirect=True),
    pytest.mark.usefixtures("no_prefect"),
]
HOUR = 3600 * 10**9
SPAN = "2026-09-21T12:13:20Z to 2026-09-21T14:13:20Z."
NOTHING = "0 events read: 0 new, 0 already known; 0 put in quarantine."
LEFT = "A run without a start reads them, and so does `onepassword-source backfill 1Pass --resume`."
REFUSED = ThirdPartyConfigError("The token is refused.", hint="Issue another.", code="401")


class LeftTheProcessError(Exception):
    """Raised in place of the end of this process."""


@pytest.fixture
def no_prefect(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, str]]]:
    """No Prefect server: the progress bar, the table and the states are not sent. Returns the tables' messages."""
    reports: list[tuple[str, str]] = []
    monkeypatch.setattr(job_module.JobProgress, "_draw", lambda _: None)
    monkeypatch.setattr(run_state, "_set", lambda _: None)
    monkeypatch.setattr(read_job, "report_job", lambda source, _job, _progress, said: reports.append((source, said)))
    monkeypatch.setattr(read_job, "publish", lambda source_id: reports.append(("published", source_id)))
    with disable_run_logger():
        yield reports
    stopping.requested.clear()


class Readers:
    """The readers of windows. Each has one of `outcomes`, in the order in which their results are requested."""

    def __init__(self, engine: Engine, *outcomes: BaseException | None) -> None:
        self.engine = engine
        self.outcomes = list(outcomes)
        self.names: list[str] = []
        self.running = self.most = 0

    def with_options(self, *, name: str) -> Readers:
        self.names.append(name)
        return self

    def submit(self, source: str, claim: WindowClaim) -> Any:
        assert source == SOURCE.name
        self.running += 1
        self.most = max(self.most, self.running)
        return Reader(self, claim)

    def end(self, claim: WindowClaim) -> object:
        self.running -= 1
        outcome = self.outcomes.pop(0) if self.outcomes else None
        if outcome is None:
            finish(self.engine, f"id = {claim.id}")
        return outcome


class Reader:
    """As Prefect's future of a task that has ended."""

    def __init__(self, readers: Readers, claim: WindowClaim) -> None:
        self.readers, self.claim = readers, claim
        self.wrapped_future: Future[None] = Future()
        self.wrapped_future.set_result(None)

    def result(self, *, raise_on_failure: bool) -> object:
        assert not raise_on_failure
        return self.readers.end(self.claim)


def finish(engine: Engine, which: str = "true") -> None:
    with engine.begin() as connection:
        connection.execute(text(f"UPDATE windows SET done_ns = 1, holder = NULL WHERE {which}"))


def opened_job(engine: Engine, kind: str = BACKFILL) -> OpenedJob:
    """A job of two windows."""
    request = JobRequest(kind, SOURCE.id, (Api.AUDIT,), START_NS - 2 * HOUR, START_NS)
    return OpenedJob(SOURCE.id, START_NS, jobs.start(engine, request, HOUR), ("It begins there.",))


@pytest.fixture
def opened(engine: Engine, moving: MovingClock) -> Iterator[OpenedJob]:
    sources.save(engine, SOURCE)
    opened_sources.register_store(SOURCE.id, engine)
    yield opened_job(engine)
    del opened_sources._of_source[SOURCE.id]


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long it paused, without a pause."""
    seconds: list[float] = []

    def pause(length: float) -> tuple[()]:
        seconds.append(length)
        return ()

    monkeypatch.setattr(read_job, "_pause", pause)
    return seconds


def read_all(monkeypatch: pytest.MonkeyPatch, readers: Readers, opened: OpenedJob, at_once: int = 2) -> State[Any]:
    monkeypatch.setattr(read_job, "read_window", readers)
    return read_job.read_job(SOURCE.name, opened, at_once, done="Backfilled")


def said(state: State[Any]) -> tuple[str, str | None]:
    return state.type.value, state.message


@pytest.mark.parametrize("at_once", [1, 2, 16])
def test_all_windows_are_read_and_no_more_at_once_than_requested(
    engine: Engine,
    opened: OpenedJob,
    monkeypatch: pytest.MonkeyPatch,
    no_prefect: list[tuple[str, str]],
    at_once: int,
) -> None:
    readers = Readers(engine)
    state = read_all(monkeypatch, readers, opened, at_once)
    assert said(state) == ("COMPLETED", f"Backfilled: {SPAN} {NOTHING} It begins there.")
    assert (readers.names, readers.most) == (["read audit"] * 2, min(at_once, 2))
    assert no_prefect == [(SOURCE.name, f"{SPAN} {NOTHING} It begins there."), ("published", SOURCE.id)]


def test_a_window_that_fails_for_good_ends_the_run_and_the_rest_is_left(
    engine: Engine, opened: OpenedJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    readers = Readers(engine, REFUSED)
    state = read_all(monkeypatch, readers, opened, 1)
    assert said(state) == (
        "FAILED",
        (
            f"ThirdPartyConfigError: The token is refused. Issue another. {SPAN} {NOTHING} It begins there. "
            f"2 of 2 windows are left. {LEFT}"
        ),
    )
    assert len(readers.names) == 1, "no further window is handed out"


def test_a_window_that_is_read_beside_one_that_fails_is_waited_for(
    engine: Engine, opened: OpenedJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read_job, "wait_for_some", lambda running, _: list(running)[:1])
    state = read_all(monkeypatch, Readers(engine, REFUSED, None), opened, 2)
    assert state.type.value == "FAILED"
    assert f"1 of 2 windows are left. {LEFT}" in (state.message or "")


def test_a_reconcile_is_not_resumed_by_a_command(
    engine: Engine, opened: OpenedJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = read_all(monkeypatch, Readers(engine, REFUSED), opened_job(engine, RECONCILE), 1)
    assert (state.message or "").endswith("It begins there. 2 of 2 windows are left.")


def test_an_unforeseen_exception_is_an_error_of_the_program(
    engine: Engine, opened: OpenedJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = read_all(monkeypatch, Readers(engine, KeyError("secret")), opened, 1)
    assert (state.message or "").startswith(
        "FirstPartyGenericError: An unexpected error in this program: KeyError. What was committed stays, and the next "
        "run tries again."
    )
    assert "secret" not in (state.message or "")


def test_a_window_that_another_run_took_over_is_no_error(
    engine: Engine, opened: OpenedJob, monkeypatch: pytest.MonkeyPatch, pauses: list[float]
) -> None:
    """The other run reads it to its end meanwhile."""

    def pause(seconds: float) -> tuple[()]:
        finish(engine)
        pauses.append(seconds)
        return ()

    monkeypatch.setattr(read_job, "_pause", pause)
    state = read_all(monkeypatch, Readers(engine, ClaimLostError("Another run has it."), None), opened, 2)
    assert said(state)[0] == "COMPLETED"
    assert pauses == [1.0]


# A stop


def test_a_stop_that_a_command_requested_ends_the_run(
    engine: Engine, opened: OpenedJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources.request_stop(engine, SOURCE.id)
    readers = Readers(engine)
    state = read_all(monkeypatch, readers, opened)
    assert said(state) == (
        "CANCELLED",
        f"Stopped: {SPAN} {NOTHING} It begins there. 2 of 2 windows are left. {LEFT}",
    )
    assert readers.names == []


def test_an_error_after_a_stop_request_is_a_stop(
    engine: Engine, opened: OpenedJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    readers = Readers(engine, REFUSED)
    end = readers.end

    def end_and_stop(claim: WindowClaim) -> object:
        stopping.requested.set()
        return end(claim)

    monkeypatch.setattr(readers, "end", end_and_stop)
    state = read_all(monkeypatch, readers, opened, 1)
    assert said(state)[0] == "CANCELLED"
    assert (state.message or "").startswith("Stopped: The token is refused.")


def test_windows_whose_readers_wait_for_their_next_attempt_are_released_and_the_process_ends(
    engine: Engine, opened: OpenedJob, monkeypatch: pytest.MonkeyPatch, rows: Rows
) -> None:
    readers, ends = Readers(engine), []

    def never(*_: object) -> list[Any]:
        stopping.begin_retry_wait("a reader")
        stopping.begin_retry_wait("another reader")
        stopping.requested.set()
        return []

    def leave(verdict: Verdict) -> None:
        ends.append((verdict.name, verdict.message))
        raise LeftTheProcessError

    monkeypatch.setattr(read_job, "wait_for_some", never)
    monkeypatch.setattr(read_job, "exit_now", leave)
    try:
        with pytest.raises(LeftTheProcessError):
            read_all(monkeypatch, readers, opened)
    finally:
        stopping.end_retry_wait("a reader")
        stopping.end_retry_wait("another reader")
    assert rows("SELECT count(*) FROM windows WHERE holder IS NOT NULL") == [(0,)]
    assert ends == [("Stopped", f"{SPAN} {NOTHING} It begins there. 2 of 2 windows are left. {LEFT}")]


# A store that does not answer


def failing(monkeypatch: pytest.MonkeyPatch, times: int, between: Callable[[], object] = lambda: None) -> None:
    """The store does not answer so often when a window is claimed."""
    left, claim = [None] * times, read_job.claim_window

    def claim_window(opened: OpenedJob) -> WindowClaim | None:
        if left:
            left.pop()
            between()
            raise FirstPartyGenericError("The store does not answer.", code="store")
        return claim(opened)

    monkeypatch.setattr(read_job, "claim_window", claim_window)


def test_a_store_that_does_not_answer_is_tried_again_after_a_few_seconds(
    engine: Engine, opened: OpenedJob, monkeypatch: pytest.MonkeyPatch, pauses: list[float], moving: MovingClock
) -> None:
    failing(monkeypatch, 4, lambda: moving.advance(30))
    state = read_all(monkeypatch, Readers(engine), opened)
    assert state.type.value == "COMPLETED"
    assert pauses[1::2] == [1.0] * 4, "there was no reader to wait for"
    assert all(0 < seconds <= 5 for seconds in pauses[::2])
    assert pauses[6] == 5, "a wait grows, but the store is tried every five seconds"
    assert attempts.failing_since_ns(f"job/{opened.job.id}") is None


def test_a_store_that_does_not_answer_for_90_minutes_ends_the_run(
    engine: Engine, opened: OpenedJob, monkeypatch: pytest.MonkeyPatch, pauses: list[float], moving: MovingClock
) -> None:
    failing(monkeypatch, 9, lambda: moving.advance(91 * 60))
    state = read_all(monkeypatch, Readers(engine), opened)
    assert (state.message or "").startswith("FirstPartyGenericError: The store does not answer. ")
    assert pauses[2] == 0, "there is no further attempt to wait for"
    attempts.forget(f"job/{opened.job.id}")


def test_the_end_is_reported_although_the_store_does_not_answer(
    engine: Engine, opened: OpenedJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    refresh, calls = job_module.JobProgress.refresh, []

    def refresh_once_done(progress: job_module.JobProgress, *, now: bool = False) -> None:
        calls.append(now)
        if progress.finished:
            raise FirstPartyGenericError("The store does not answer.")
        refresh(progress, now=now)

    monkeypatch.setattr(job_module.JobProgress, "refresh", refresh_once_done)
    state = read_all(monkeypatch, Readers(engine), opened)
    assert said(state)[0] == "COMPLETED"
    assert calls[-1] is True
