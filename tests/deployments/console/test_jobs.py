"""What operators start: it runs in a thread as them, and its result or its error can be read afterwards."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from support.moving_clock import START_NS
from support.values import SOURCE

from blocks.errors import FirstPartyGenericError
from blocks.store import audit_log, lifecycle, sources
from deployments.console import jobs
from deployments.console.jobs import Job, Jobs

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from support.moving_clock import MovingClock

SECONDS = 60.0


def ended(job: Job) -> Job:
    assert job.ended.wait(SECONDS)
    return job


def test_a_job_that_ends_has_its_result_and_its_times(moving: MovingClock) -> None:
    def work(job: Job) -> str:
        moving.advance(3)
        job.result = 42
        return "It is done."

    job = ended(Jobs().start("Count", "Ada", work))
    assert (job.title, job.actor, job.state, job.text, job.result) == ("Count", "Ada", "done", "It is done.", 42)
    assert (job.started_ns, job.ended_ns) == (START_NS, START_NS + 3 * 10**9)


def test_an_error_is_shown_with_its_hint() -> None:
    def fail(_: Job) -> str:
        raise FirstPartyGenericError("The store does not answer.", hint="Start it.")

    job = ended(Jobs().start("Count", "Ada", fail))
    assert (job.state, job.text, job.hint) == ("failed", "The store does not answer.", "Start it.")


@pytest.mark.parametrize(
    ("error", "hint"), [(ValueError("secret"), "The server's log has the details."), (ValueError(), "")]
)
def test_an_unexpected_error_shows_its_kind_alone_and_is_logged(
    error: Exception, hint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged: list[type[BaseException]] = []
    monkeypatch.setattr(threading, "excepthook", lambda arguments: logged.append(arguments.exc_type))

    def fail(_: Job) -> str:
        raise error

    job = ended(Jobs().start("Count", "Ada", fail))
    assert (job.state, job.text, job.hint) == ("failed", "It failed: ValueError.", hint)
    assert job.ended_ns is not None
    assert logged == [ValueError]


def test_a_long_job_goes_on_while_the_page_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "WAIT_SECONDS", 0.01)
    go, started = threading.Event(), Jobs()

    def work(job: Job) -> str:
        job.progress = 0.5
        assert go.wait(SECONDS)
        return ""

    first, second = started.start("First", "Ada", work), started.start("Second", "Ada", work)
    assert (first.state, first.ended_ns) == ("running", None)
    assert started.running() == [first, second]
    assert started.find(second.id) is second
    go.set()
    ended(first)
    ended(second)
    assert started.running() == []


def test_the_last_jobs_are_kept_and_older_ones_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "KEPT", 2)
    started = Jobs()
    made = [ended(started.start(str(number), "Ada", lambda _: "")) for number in range(3)]
    assert [started.find(job.id) for job in made] == [None, made[1], made[2]]
    assert started.find("unknown") is None
    assert len({job.id for job in made}) == 3


def test_a_job_acts_as_its_operator(engine: Engine) -> None:
    sources.save(engine, SOURCE)

    def pause(_: Job) -> str:
        identity = lifecycle.find(engine, SOURCE.name)
        assert identity
        lifecycle.pause(engine, identity)
        return ""

    ended(Jobs().start("Stop", "Ada (console, 127.0.0.1)", pause))
    assert "Ada (console, 127.0.0.1)" in str(audit_log.newest(engine)[0])
