"""A backfill in the process of a command: its counts, its bar, its result, and how Ctrl-C ends it."""

from __future__ import annotations

import io
import json
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from prefect.states import Cancelled, Completed, Failed
from rich.console import Console
from rich.progress import Progress
from support.command_sessions import session_of

from blocks.errors import ThirdPartyConfigError
from blocks.events_api.models import Api
from blocks.store.backfill.jobs import BACKFILL, RECONCILE, ApiProgress, JobView
from deployments import deferred
from deployments.commands.support import job_progress
from deployments.commands.support.job_progress import JobDisplay, run_job
from deployments.commands.support.local_run import CTRL_C_SECONDS
from deployments.exit_codes import DONE, IN_ERROR, INTERRUPTED, WRONG_USE
from deployments.prefect_api.server_access import PrefectAccess

if TYPE_CHECKING:
    from collections.abc import Callable

    from prefect.client.schemas.objects import State

SECOND = 10**9
SOURCE_ID = "1" * 32
PROGRESS = [
    ApiProgress(Api.AUDIT, 10, 4, 1, 40, 100, 9, 1500, 300, 2, 3, None),
    ApiProgress(Api.SIGN_IN, 10, 10, 0, 100, 100, 9, 200, 0, 0, 4, None),
]
COUNTS = {
    "source_id": SOURCE_ID,
    "job": "job-1",
    "start": "1970-01-01T00:00:00Z",
    "end": "1970-01-02T00:00:00Z",
    "windows_total": 20,
    "windows_done": 14,
    "read": 2000,
    "new": 1700,
    "known": 300,
    "quarantined": 2,
}


def job(kind: str = BACKFILL) -> JobView:
    return JobView("job-1", kind, SOURCE_ID, 0, 86_400 * SECOND, (Api.AUDIT, Api.SIGN_IN), 0, None)


class Clock:
    """A monotonic clock that the test moves."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def monotonic(monkeypatch: pytest.MonkeyPatch) -> Clock:
    own = Clock()
    monkeypatch.setattr(job_progress.time, "monotonic", own)
    return own


def bar() -> Progress:
    return Progress(console=Console(file=io.StringIO()))


def test_before_its_first_progress_a_job_has_no_counts() -> None:
    assert JobDisplay().as_json() == {}


def test_counts_are_of_all_apis_together() -> None:
    shown = JobDisplay()
    shown.update(job(), PROGRESS)
    assert shown.as_json() == COUNTS


def test_a_reconcile_counts_what_changed_too() -> None:
    shown = JobDisplay()
    shown.update(job(RECONCILE), PROGRESS)
    assert shown.as_json() == {**COUNTS, "changed": 7}


def test_the_last_progress_counts() -> None:
    shown = JobDisplay()
    shown.update(job(), PROGRESS)
    shown.update(job(), PROGRESS[1:])
    assert shown.as_json()["read"] == 200


def test_the_bar_begins_without_a_length_and_shows_what_is_done(monotonic: Clock) -> None:
    shown, shows = JobDisplay(), bar()
    shown.attach(shows)
    (row,) = shows.tasks
    assert (row.description, row.total) == ("Starting…", None)
    shown.update(job(), PROGRESS)
    assert (row.description, row.total, row.completed) == ("2,000 events  14/20 windows  0/s", 200, 140)
    monotonic.seconds += 0.5
    shown.update(job(), [*PROGRESS, PROGRESS[1]])
    assert row.description == "2,200 events  24/30 windows  0/s", "of less than a second there is no rate"


@pytest.mark.parametrize(("seconds", "rate"), [(1, "3,600/s"), (10, "360/s")])
def test_the_rate_is_of_what_was_read_since_the_begin(monotonic: Clock, seconds: float, rate: str) -> None:
    shown, shows = JobDisplay(), bar()
    shown.attach(shows)
    shown.update(job(), PROGRESS)
    monotonic.seconds += seconds
    shown.update(job(), [*PROGRESS, PROGRESS[0], PROGRESS[0]])
    assert shows.tasks[0].description.endswith(f"  {rate}")


def test_a_bar_stops_and_none_needs_no_stop() -> None:
    JobDisplay().stop()
    shown, shows = JobDisplay(), bar()
    shows.start()
    shown.attach(shows)
    shown.stop()
    assert not shows.live.is_started


@pytest.fixture
def sources(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is one source, `1Pass`."""

    class Sources:
        @staticmethod
        def exists(name: str) -> bool:
            return name == "1Pass"

    monkeypatch.setattr(deferred, "sources", Sources, raising=False)
    for holder, name in (
        (deferred.stopping, "exit_hook"),
        (deferred.stopping, "exit_seconds"),
        (deferred.job, "on_progress"),
    ):
        monkeypatch.setattr(holder, name, getattr(holder, name))
    monkeypatch.setattr(job_progress, "prefect_session", session_of("own"))


def reports(state: State[Any]) -> Callable[[], State[Any]]:
    """A flow that reports its progress, and ends in this state."""

    def flow() -> State[Any]:
        deferred.job.on_progress(job(), PROGRESS)
        return state

    return flow


@pytest.mark.usefixtures("sources")
@pytest.mark.parametrize(
    ("state", "outcome", "code"),
    [
        (Completed(message="Backfilled: 1,700 new events."), "Backfilled", DONE),
        (Failed(message="ThirdPartyConfigError: The token is rejected."), "ThirdPartyConfigError", IN_ERROR),
        (Cancelled(message="Stopped: The rest is kept."), "Stopped", INTERRUPTED),
    ],
)
def test_the_result_is_a_line_or_a_record(
    capsys: pytest.CaptureFixture[str], state: State[Any], outcome: str, code: int
) -> None:
    message = str(state.message).partition(": ")[2]
    assert run_job("1Pass", reports(state), as_json=False) == code
    assert capsys.readouterr().out == f"{outcome}: {message}\n"
    assert run_job("1Pass", reports(state), as_json=True) == code
    record = {"source": "1Pass", "state": outcome, "message": message, "in_error": code == IN_ERROR}
    assert json.loads(capsys.readouterr().out) == {**record, **COUNTS}


@pytest.mark.usefixtures("sources")
def test_a_source_that_does_not_exist_has_no_run() -> None:
    def flow() -> State[Any]:
        raise AssertionError

    with pytest.raises(ThirdPartyConfigError, match="There is no source named 'other'") as raised:
        run_job("other", flow, as_json=False)
    assert raised.value.code == "unknown-source"


@pytest.mark.usefixtures("sources")
def test_a_distributed_run_needs_workers(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    flow = reports(Completed(message="Backfilled: It is done."))
    assert run_job("1Pass", flow, as_json=False, needs_workers=True) == DONE
    monkeypatch.setattr(job_progress, "prefect_session", session_of("temporary"))
    assert run_job("1Pass", flow, as_json=False) == DONE
    capsys.readouterr()
    with pytest.raises(ThirdPartyConfigError) as raised:
        run_job("1Pass", flow, as_json=False, needs_workers=True)
    assert str(raised.value) == (
        "--distributed needs workers, and none runs. Start `onepassword-source up`, or leave --distributed out."
    )
    assert capsys.readouterr().out == ""
    assert WRONG_USE == 2


@pytest.mark.usefixtures("sources")
@pytest.mark.parametrize("as_json", [False, True])
def test_ctrl_c_prints_the_result_and_ends_the_session_at_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *, as_json: bool
) -> None:
    ended: list[PrefectAccess] = []
    monkeypatch.setattr(job_progress, "shut_down", ended.append)
    codes: list[int] = []

    def flow() -> State[Any]:
        deferred.job.on_progress(job(), PROGRESS)
        assert deferred.stopping.exit_seconds == CTRL_C_SECONDS
        codes.append(deferred.stopping.exit_hook("Stopped", "The rest is kept."))
        out = capsys.readouterr().out
        expected = {"source": "1Pass", "state": "Stopped", "message": "The rest is kept.", "in_error": False, **COUNTS}
        assert (json.loads(out) == expected) if as_json else (out == "Stopped: The rest is kept.\n")
        return Completed(message="Backfilled: It is done.")

    run_job("1Pass", flow, as_json=as_json)
    assert (codes, ended) == ([INTERRUPTED], [PrefectAccess("own")])


@pytest.mark.usefixtures("sources")
@pytest.mark.parametrize("terminal", [False, True])
def test_a_bar_is_shown_on_a_terminal_alone(monkeypatch: pytest.MonkeyPatch, *, terminal: bool) -> None:
    seen: list[bool] = []
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    monkeypatch.setattr(job_progress, "ERROR", Console(file=io.StringIO(), force_terminal=True))

    class Watched(JobDisplay):
        def update(self, *given: Any) -> None:
            super().update(*given)
            seen.append(self._bar is not None and self._bar.live.is_started)

    monkeypatch.setattr(job_progress, "JobDisplay", Watched)
    assert run_job("1Pass", reports(Completed(message="Backfilled: It is done.")), as_json=False) == DONE
    assert seen == [terminal]
    assert time.monotonic() > 0
