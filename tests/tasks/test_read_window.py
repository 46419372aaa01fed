"""One attempt at one window: from where it reads, when it is at its end, and what is recorded of a failure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from support.answering_client import AnsweringClient
from support.moving_clock import START_NS
from support.values import SOURCE

from blocks.errors import CursorRejectedError, FirstPartyGenericError, ThirdPartyConfigError, ThirdPartyGenericError
from blocks.events_api.models import Api, Event, InvalidItem, Page
from blocks.store import health, sources
from blocks.store.backfill import jobs, windows
from blocks.store.backfill.jobs import BACKFILL, JobRequest
from blocks.store.claim_expiry import CLAIM_NS
from tasks import attempts
from tasks.read_window import WindowReader, WindowRecord, attempt_key, read_window
from tasks.support import stopping
from tasks.support.paging import STOPPED
from tasks.support.rate_gate import StoppedWaitingError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Engine
    from support.moving_clock import MovingClock
    from support.stored_block import StoredBlock

    from blocks.store.backfill.windows import WindowClaim

    Rows = Callable[[str], list[tuple[object, ...]]]

pytestmark = pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
SECOND = 10**9
HOUR = 3600 * SECOND
BEGIN, END = START_NS - 2 * HOUR, START_NS - HOUR
REFUSED = CursorRejectedError("The cursor is refused.", code="400")


@pytest.fixture
def claim(engine: Engine, moving: MovingClock) -> WindowClaim:
    """The claim of a run on the only window of a job."""
    sources.save(engine, SOURCE)
    job = jobs.start(engine, JobRequest(BACKFILL, SOURCE.id, (Api.AUDIT,), BEGIN, END), HOUR)
    taken = windows.acquire(engine, job.id, "run")
    assert taken
    return taken


def page(cursor: str, *times_ns: int, more: bool = True, invalid: int = 0) -> Page:
    events = [Event(f"{cursor}-{number}", time_ns, "{}") for number, time_ns in enumerate(times_ns)]
    return Page(cursor, has_more=more, events=events, invalid_items=[InvalidItem("no uuid", b"{}")] * invalid)


def reader(engine: Engine, claim: WindowClaim, client: AnsweringClient) -> WindowReader:
    made: Any = client
    return WindowReader(engine, made, SOURCE, claim)


WINDOW = "SELECT cursor, pages, new, known, quarantined, restarts, holder, done_ns FROM windows"


# From where to where


def test_a_window_is_read_from_a_second_before_its_start_to_its_last_page(
    engine: Engine, claim: WindowClaim, rows: Rows
) -> None:
    client = AnsweringClient(
        page("c1", BEGIN, BEGIN + 1), page("c2", BEGIN + 2, invalid=1), page("c3", BEGIN + 3, more=False)
    )
    result = reader(engine, claim, client).read()
    assert client.first == [(Api.AUDIT, BEGIN - SECOND, END)]
    assert client.cursors == ["c1", "c2"]
    assert (result.api, result.pages, result.new, result.known, result.quarantined, result.note) == (
        "audit",
        3,
        4,
        0,
        1,
        "",
    )
    assert rows(WINDOW) == [("c3", 3, 4, 0, 1, 0, None, START_NS)]


def test_what_was_stored_before_is_counted_as_known(engine: Engine, claim: WindowClaim) -> None:
    again = Page("c2", has_more=False, events=[Event("c1-0", BEGIN, "{}"), Event("new", BEGIN, "{}")], invalid_items=[])
    result = reader(engine, claim, AnsweringClient(page("c1", BEGIN), again)).read()
    assert (result.pages, result.new, result.known) == (2, 2, 1)


def test_no_more_than_120_days_are_requested(engine: Engine, claim: WindowClaim) -> None:
    client = AnsweringClient(page("c1", more=False))
    reader(engine, replace(claim, start_ns=START_NS - 200 * 24 * HOUR), client).read()
    assert client.first == [(Api.AUDIT, START_NS - 120 * 24 * HOUR, END)]


def test_a_window_goes_on_from_its_cursor(engine: Engine, claim: WindowClaim, rows: Rows) -> None:
    windows.commit_page(engine, claim, page("c1", BEGIN), after=None, api_version="v2", last=False)
    client = AnsweringClient(page("c2", more=False))
    reader(engine, claim, client).read()
    assert (client.first, client.cursors) == ([], ["c1"])
    assert rows(WINDOW) == [("c2", 2, 1, 0, 0, 0, None, START_NS)]


def test_a_cursor_of_another_version_of_the_api_is_not_used(engine: Engine, claim: WindowClaim, rows: Rows) -> None:
    windows.commit_page(engine, claim, page("c1", BEGIN), after=None, api_version="v1", last=False)
    client = AnsweringClient(page("c2", more=False))
    reader(engine, claim, client).read()
    assert (len(client.first), client.cursors) == (1, [])
    assert rows("SELECT cursor, cursor_version, restarts FROM windows") == [("c2", "v2", 1)]


def test_an_attempt_renews_its_claim_first(engine: Engine, claim: WindowClaim, moving: MovingClock, rows: Rows) -> None:
    moving.advance(60)
    with pytest.raises(ThirdPartyGenericError):
        reader(engine, claim, AnsweringClient(ThirdPartyGenericError("It did not answer."))).read()
    assert rows("SELECT claim_expires_ns FROM windows") == [(START_NS + 60 * SECOND + CLAIM_NS,)]


# A cursor that the server rejects


def test_a_rejected_cursor_is_dropped_and_the_window_read_from_its_start(
    engine: Engine, claim: WindowClaim, rows: Rows
) -> None:
    windows.commit_page(engine, claim, page("c1", BEGIN), after=None, api_version="v2", last=False)
    client = AnsweringClient(REFUSED, page("c2", more=False))
    reader(engine, claim, client).read()
    assert (client.cursors, len(client.first)) == (["c1"], 1)
    assert rows("SELECT cursor, restarts FROM windows") == [("c2", 1)]


def test_a_window_whose_cursor_is_rejected_again_and_again_fails(
    engine: Engine, claim: WindowClaim, rows: Rows
) -> None:
    for _ in range(2):
        with pytest.raises(CursorRejectedError):
            reader(engine, claim, AnsweringClient(REFUSED, REFUSED)).read()
    client = AnsweringClient(REFUSED, page("c2", more=False))
    with pytest.raises(CursorRejectedError):
        reader(engine, claim, client).read()
    assert len(client.answers) == 1, "it is not read again"
    assert rows("SELECT restarts FROM windows") == [(2,)]


# Its end


@pytest.mark.parametrize(
    ("pages", "past"),
    [
        ([(END + SECOND,)], [False]),
        ([(BEGIN,), (END + SECOND, END + SECOND + 5)], [False, True]),
        ([(BEGIN,), (END + SECOND - 1, END + 2 * SECOND)], [False, False]),
        ([(BEGIN,), (), (END + SECOND,)], [False, False, True]),
        ([(BEGIN + 5,), (BEGIN + 4,), (END + SECOND,)], [False, False, False]),
        ([(BEGIN, BEGIN + 5), (BEGIN + 5,), (END + SECOND,)], [False, False, True]),
        ([(BEGIN, BEGIN + 5), (BEGIN + 4,), (END + SECOND,)], [False, False, False]),
        ([(BEGIN,), (START_NS + 1,), (END + SECOND, START_NS + 9)], [False, False, True]),
        ([(BEGIN,), (START_NS,)], [False, True]),
    ],
    ids=[
        "the first page alone",
        "behind the end",
        "a nanosecond before it",
        "an empty page between",
        "times that fall",
        "the same time twice",
        "times that overlap",
        "times in the future",
        "now",
    ],
)
def test_a_window_is_past_its_end_if_times_rose_and_no_event_is_in_it(
    engine: Engine, claim: WindowClaim, pages: list[tuple[int, ...]], past: list[bool]
) -> None:
    made = reader(engine, claim, AnsweringClient())
    assert [made._is_past(page(f"c{number}", *times)) for number, times in enumerate(pages)] == past


def test_a_page_past_the_end_is_the_last_though_more_follow(engine: Engine, claim: WindowClaim, rows: Rows) -> None:
    client = AnsweringClient(page("c1", BEGIN), page("c2", END + SECOND), page("c3", END + HOUR))
    result = reader(engine, claim, client).read()
    assert (result.pages, result.new, result.note) == (2, 2, "")
    assert rows(WINDOW) == [("c2", 2, 2, 0, 0, 0, None, START_NS)]


def test_a_cursor_that_does_not_move_is_an_error_after_what_came(
    engine: Engine, claim: WindowClaim, rows: Rows
) -> None:
    with pytest.raises(ThirdPartyGenericError) as raised:
        reader(engine, claim, AnsweringClient(page("c1", BEGIN), page("c1", BEGIN + 1))).read()
    assert (raised.value.code, str(raised.value)) == (
        "stuck",
        (
            "The window was not read to its end: has_more is true, but the cursor does not move; the next run tries "
            "again."
        ),
    )
    assert rows("SELECT pages, holder, done_ns FROM windows") == [(2, "run", None)]


def test_a_stop_ends_it_after_its_page_and_releases_the_window(engine: Engine, claim: WindowClaim, rows: Rows) -> None:
    stopping.requested.set()
    result = reader(engine, claim, AnsweringClient(page("c1", BEGIN))).read()
    assert (result.pages, result.note) == (1, STOPPED)
    assert rows(WINDOW) == [("c1", 1, 1, 0, 0, 0, None, None)]


def test_a_stop_before_the_first_answer_releases_the_window(engine: Engine, claim: WindowClaim, rows: Rows) -> None:
    result = reader(engine, claim, AnsweringClient(StoppedWaitingError())).read()
    assert (result.pages, result.note) == (0, STOPPED)
    assert rows("SELECT holder, done_ns FROM windows") == [(None, None)]


# A failure


def test_a_failed_attempt_counts_from_the_first_one_in_this_process(
    engine: Engine, claim: WindowClaim, moving: MovingClock
) -> None:
    record, error = WindowRecord(engine, claim), ThirdPartyGenericError("It did not answer.")
    assert record.fail(error, None) == START_NS
    moving.advance(60)
    assert record.fail(error, START_NS + 5) == START_NS
    attempts.forget(attempt_key(claim))
    assert record.fail(error, None) == START_NS + 60 * SECOND
    attempts.forget(attempt_key(claim))


@pytest.mark.parametrize(("code", "paused"), [("429", [(START_NS + 30 * SECOND,)]), ("500", [])])
def test_a_wait_keeps_the_window_and_after_a_429_everybody_waits(
    engine: Engine, claim: WindowClaim, rows: Rows, code: str, paused: list[tuple[int]]
) -> None:
    error = ThirdPartyGenericError("It did not answer.", code=code)
    error.retry_in = 30
    WindowRecord(engine, claim).wait(error, 30)
    assert rows("SELECT error, claim_expires_ns FROM windows") == [
        ("It did not answer.", START_NS + 30 * SECOND + CLAIM_NS)
    ]
    assert rows("SELECT paused_until_ns FROM rate_limits") == paused


def test_a_window_that_is_given_up_is_released_and_reported(engine: Engine, claim: WindowClaim, rows: Rows) -> None:
    WindowRecord(engine, claim).stop(ThirdPartyConfigError("It is refused.", code="401"), noted=True)
    assert rows("SELECT holder, error FROM windows") == [(None, "It is refused.")]
    (event,) = health.unpublished(engine, SOURCE.id)
    assert (event.tracker, event.description) == ("backfill/audit", "A backfill of audit has failed: It is refused.")


def test_an_attempt_without_the_block_is_judged_and_kept_for_the_next(
    engine: Engine, claim: WindowClaim, stored: StoredBlock, rows: Rows
) -> None:
    stored.failure = httpx.ConnectError("no")
    with pytest.raises(FirstPartyGenericError) as raised:
        read_window.fn(SOURCE.name, claim)
    assert raised.value.retry_in
    assert rows("SELECT holder FROM windows") == [("run",)]
    attempts.forget(attempt_key(claim))


def test_an_attempt_at_a_source_that_is_gone_is_the_last(
    engine: Engine, claim: WindowClaim, stored: StoredBlock, rows: Rows
) -> None:
    stored.edit(name="another")
    with pytest.raises(ThirdPartyConfigError, match="There is no source named '1Pass'") as raised:
        read_window.fn(SOURCE.name, claim)
    assert raised.value.retry_in is None
    assert attempt_key(claim) == f"window/{claim.id}/{claim.fence}"
