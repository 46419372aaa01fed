"""Claims, errors and cursors of a stream."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.moving_clock import MovingClock
from support.values import SOURCE

from blocks.errors import ClaimLostError, ThirdPartyConfigError, ThirdPartyGenericError, UnexpectedError
from blocks.events_api.models import Api, Page
from blocks.store import health, pages, source_status, streams
from blocks.store.claim_expiry import CLAIM_NS

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from blocks.store.streams import StreamClaim

pytestmark = pytest.mark.usefixtures("moving")

SECOND = 10**9
HOUR = 3600 * SECOND


def audit(engine: Engine) -> streams.StreamView:
    return streams.of_source(engine, SOURCE.id, (Api.AUDIT,))[0]


def test_a_claim_of_a_time_to_come_blocks_no_run(engine: Engine, claim: StreamClaim, moving: MovingClock) -> None:
    """The run was killed, and then the clock was set back by a day."""
    streams.renew(engine, claim)
    moving.advance(-86_400)
    assert streams.acquire(engine, streams.get(engine, claim.stream_id), "run-2")
    with pytest.raises(ClaimLostError):
        streams.renew(engine, claim)


def test_a_claim_kept_for_a_long_wait_holds_for_all_of_it(
    engine: Engine, claim: StreamClaim, moving: MovingClock
) -> None:
    streams.renew(engine, claim, for_seconds=3600)
    for seconds in (-100, 3600):  # a clock that is a little behind another machine's, too
        moving.advance(seconds)
        assert streams.acquire(engine, streams.get(engine, claim.stream_id), "run-2") is None


def test_a_claim_keeps_others_out_until_it_lapses(engine: Engine, claim: StreamClaim, moving: MovingClock) -> None:
    assert streams.acquire(engine, audit(engine), "run-2") is None
    moving.advance(CLAIM_NS / SECOND + 1)
    second = streams.acquire(engine, audit(engine), "run-2")
    assert second is not None
    assert second.fence > claim.fence
    with pytest.raises(ClaimLostError, match="Another run reads audit now"):
        streams.renew(engine, claim)


def test_a_renewed_claim_lasts_through_the_wait_and_the_attempt_after_it(
    engine: Engine, claim: StreamClaim, moving: MovingClock
) -> None:
    streams.renew(engine, claim, for_seconds=300)
    moving.advance(300 + CLAIM_NS / SECOND - 1)
    assert streams.acquire(engine, audit(engine), "run-2") is None


def test_a_clock_that_goes_back_cannot_undo_the_fence(engine: Engine, claim: StreamClaim, moving: MovingClock) -> None:
    moving.advance(CLAIM_NS / SECOND + 1)
    assert streams.acquire(engine, audit(engine), "run-2")
    moving.advance(-3600)
    with pytest.raises(ClaimLostError):
        streams.drop_cursor(engine, claim)


def test_a_released_stream_is_free_and_a_lost_claim_releases_nothing(engine: Engine, claim: StreamClaim) -> None:
    streams.release(engine, claim)
    second = streams.acquire(engine, audit(engine), "run-2")
    assert second
    streams.release(engine, claim)
    assert audit(engine).holder == "run-2"


def test_the_first_failure_stays_the_first(engine: Engine, claim: StreamClaim, moving: MovingClock) -> None:
    first = streams.record_failure(engine, claim, ThirdPartyGenericError("one", code="500"))
    moving.advance(600)
    assert streams.record_failure(engine, claim, ThirdPartyGenericError("two", code="503")) == first
    view = audit(engine)
    assert (view.failing_since_ns, view.error_message) == (first, "two")


def test_a_first_failure_that_lies_ahead_since_the_clock_was_set_back_is_now(
    engine: Engine, claim: StreamClaim, moving: MovingClock
) -> None:
    error = ThirdPartyGenericError("x")
    streams.record_failure(engine, claim, error)
    moving.advance(-7200)
    assert streams.record_failure(engine, claim, error) == moving.now_ns()
    first_ns = moving.now_ns()
    moving.advance(60)
    assert streams.record_failure(engine, claim, error) == first_ns


def test_a_time_in_which_nothing_was_tried_does_not_count(
    engine: Engine, claim: StreamClaim, moving: MovingClock
) -> None:
    """The machine slept, or its clock was set forward."""
    error = ThirdPartyGenericError("x")
    streams.record_failure(engine, claim, error)
    for seconds, counts in ((600, 600), (8 * 3600, 600), (3600, 4200)):
        moving.advance(seconds)
        assert (moving.now_ns() - streams.record_failure(engine, claim, error)) / SECOND == counts


def test_a_failure_that_the_store_did_not_see_counts_from_when_it_was(
    engine: Engine, claim: StreamClaim, moving: MovingClock
) -> None:
    earlier = moving.now_ns()
    moving.advance(600)
    assert streams.record_failure(engine, claim, ThirdPartyGenericError("x"), since_ns=earlier) == earlier


def test_a_stopped_stream_remembers_the_configuration_it_failed_with(engine: Engine, claim: StreamClaim) -> None:
    streams.stop(engine, claim, ThirdPartyConfigError("wrong token"), "fingerprint-1")
    view = audit(engine)
    assert (view.stopped_fingerprint, view.error_type, view.holder) == ("fingerprint-1", "ThirdPartyConfigError", None)
    streams.restart(engine, SOURCE.id)
    view = audit(engine)
    assert (view.stopped_fingerprint, view.error_type, view.failing_since_ns) == (None, None, None)


def attempts(engine: Engine) -> int:
    (audit,) = [one for one in source_status.sources(engine)[0].streams if one.api == Api.AUDIT]
    return audit.failed_attempts


def test_attempts_are_counted_across_runs_until_one_succeeds(engine: Engine, claim: StreamClaim) -> None:
    error = ThirdPartyGenericError("x")
    streams.record_failure(engine, claim, error)
    streams.release(engine, claim)
    second = streams.acquire(engine, audit(engine), "run-2")
    assert second
    streams.record_failure(engine, second, error)
    streams.stop(engine, second, error, SOURCE.fingerprint, noted=True)
    assert attempts(engine) == 2, "the one that ended the window was counted before"
    third = streams.acquire(engine, audit(engine), "run-3")
    assert third
    streams.stop(engine, third, UnexpectedError("x"), None)
    assert attempts(engine) == 3, "one that is tried again with the next run was noted nowhere else"
    fourth = streams.acquire(engine, audit(engine), "run-4")
    assert fourth
    streams.record_drain(engine, fourth, 0)
    assert attempts(engine) == 0


def test_what_is_given_up_is_reported_with_the_commands_that_help(engine: Engine, claim: StreamClaim) -> None:
    """Its own hint says that the request is made again."""
    error = ThirdPartyGenericError("It answered 500.", hint="The request is retried.")
    streams.stop(engine, claim, error, "first", noted=True)
    (event,) = health.unpublished(engine, SOURCE.id)
    assert event.hint == (
        "It was tried for 90 minutes. `onepassword-source check 1Pass` looks for the cause; "
        "`onepassword-source restart 1Pass` tries again."
    )


def test_restart_takes_the_claim_away(engine: Engine, claim: StreamClaim) -> None:
    streams.restart(engine, SOURCE.id)
    with pytest.raises(ClaimLostError):
        streams.renew(engine, claim)


def test_without_a_complete_drain_there_is_no_point_to_resume_from(engine: Engine, claim: StreamClaim) -> None:
    page = Page("c1", has_more=True, events=[], invalid_items=[])
    pages.commit_page(engine, claim, page, after=None, api_version="v2")
    assert audit(engine).resume_ns is None


def test_it_resumes_48_hours_before_the_earlier_of_newest_event_and_last_drain(
    engine: Engine, claim: StreamClaim, moving: MovingClock
) -> None:
    from blocks.events_api.models import Event

    drain = moving.now_ns()
    newest = drain - 5 * HOUR
    page = Page("c1", has_more=False, events=[Event("a", newest, "{}")], invalid_items=[])
    pages.commit_page(engine, claim, page, after=None, api_version="v2")
    streams.record_drain(engine, claim, drain)
    assert audit(engine).resume_ns == newest - 48 * HOUR
    claimed = streams.acquire(engine, audit(engine), "run-2")
    assert claimed
    later = Page("c2", has_more=False, events=[Event("b", drain + 9 * HOUR, "{}")], invalid_items=[])
    pages.commit_page(engine, claimed, later, after="c1", api_version="v2")
    assert audit(engine).resume_ns == drain - 48 * HOUR
