"""A target that accepts events and never confirms them: after some tries it is an error of its configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.forwarding import BUSY, Pair

from blocks.errors import SourceError, ThirdPartyConfigError, ThirdPartyGenericError
from blocks.siem.delivery.protocol import NoConfirmationError
from blocks.store.forwarding import positions
from tasks import attempts
from tasks.forward import REPEAT_POLICY, UNCONFIRMED_MAX, PositionRecord

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from blocks.store.forwarding.records import PositionClaim


def judged(engine: Engine, claim: PositionClaim, error: SourceError, fingerprint: str) -> SourceError:
    """The error with which an attempt leaves that ends in `error`."""
    try:
        with attempts.attempt((claim.pair_id, claim.stream_id), repeats=REPEAT_POLICY) as attempt:
            attempt.open(PositionRecord(engine, claim, fingerprint))
            raise error
    except SourceError as failure:
        return failure


def test_a_target_that_never_confirms_is_the_configuration_after_some_tries(pair: Pair) -> None:
    claim, waits = pair.claim(), []
    for _ in range(UNCONFIRMED_MAX - 1):
        error = judged(
            pair.engine, claim, NoConfirmationError("No close_notify.", hint="Do this.", code="ack"), "print"
        )
        assert isinstance(error, ThirdPartyGenericError)
        waits.append(error.retry_in)
    assert all(wait is not None and wait >= 10 for wait in waits)
    final = judged(pair.engine, claim, NoConfirmationError("No close_notify.", hint="Do this.", code="ack"), "print")
    assert isinstance(final, ThirdPartyConfigError)
    assert str(final) == f"No close_notify. This happened {UNCONFIRMED_MAX} times. Do this."
    assert final.retry_in is None
    assert pair.view().stopped_fingerprint == "print"


def test_the_tries_of_runs_that_were_killed_count(pair: Pair) -> None:
    """Else a target that never confirms gets the same events again and again, as long as runs are killed."""
    for number in range(UNCONFIRMED_MAX):
        claim = pair.claim(holder="run")
        error = judged(pair.engine, claim, NoConfirmationError("No close_notify.", code="ack"), f"print {number}")
        attempts.forget((claim.pair_id, claim.stream_id))  # with the memory of the process
    assert isinstance(error, ThirdPartyConfigError)


def test_only_what_was_not_confirmed_counts_for_that(pair: Pair) -> None:
    claim = pair.claim()
    for _ in range(2 * UNCONFIRMED_MAX):
        assert isinstance(judged(pair.engine, claim, BUSY, "print"), ThirdPartyGenericError)
    for _ in range(UNCONFIRMED_MAX - 1):
        error = judged(pair.engine, claim, NoConfirmationError("No close_notify.", code="ack"), "print")
        assert isinstance(error, ThirdPartyGenericError)
    (counted,) = pair.filled.ask("SELECT failed_attempts, unconfirmed FROM positions WHERE failed_attempts > 0")
    assert counted == (3 * UNCONFIRMED_MAX - 1, UNCONFIRMED_MAX - 1)


def test_each_progress_begins_the_count_again(pair: Pair) -> None:
    claim = pair.claim()
    for number in range(3 * UNCONFIRMED_MAX):
        error = judged(pair.engine, claim, NoConfirmationError("No close_notify.", code="unconfirmed"), "print")
        assert isinstance(error, ThirdPartyGenericError)
        if number % (UNCONFIRMED_MAX - 1) == UNCONFIRMED_MAX - 2:
            end = pair.ids()[number]
            positions.advance(pair.engine, claim, positions.BatchOutcome(end, end, 1, 0), [])
