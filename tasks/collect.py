"""Collect one stream: try, judge what went wrong, and try again for up to 90 minutes since the last progress."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from prefect import get_run_logger, task

from blocks.errors import ClaimLostError, FirstPartyGenericError, SourceError
from blocks.store import streams
from blocks.store.streams import Claim
from tasks import rates, retries, stopping
from tasks.drain import Collected, Round
from tasks.publish import tell_unstored
from tasks.source import after_rotation, forget_source, open_store, record_of, shared_source

if TYPE_CHECKING:
    from sqlalchemy import Engine


@task(name="collect", **retries.OPTIONS)
def collect_stream(source: str, claim: Claim) -> Collected:
    """Read the stream of `claim` to its end; each page and its cursor are one commit.

    Submit a copy of this task for each stream (`with_options`), since its delay between attempts is its own.
    An error leaves here judged: remembered in the store, with `retry_in` set where the step is to be tried again.
    """
    stopping.woke_up(claim.stream_id)
    engine, fingerprint = None, ""
    try:
        block = shared_source(source)
        fingerprint = block.fingerprint()
        engine = open_store(block)
        record = record_of(block)
        with block.credentials.get_client(block.api_version, turn=rates.gate(engine, record)) as client:
            collected = Round(engine, client, record, claim, get_run_logger()).run()
    except SourceError as error:
        forget_source(source)
        error = after_rotation(source, error, fingerprint)
        judged = _judged(engine, claim, error, fingerprint)
        tell_unstored(source, judged, retries.since_in_memory(_key(claim)))
        raise judged from None
    retries.forget(_key(claim))
    get_run_logger().log(
        logging.INFO if collected.new or collected.quarantined else logging.DEBUG,
        "%s: %d new, %d already known, %d put in quarantine; %d pages in %.1f s",
        claim.api,
        collected.new,
        collected.known,
        collected.quarantined,
        collected.pages,
        collected.seconds,
    )
    return collected


def _judged(engine: Engine | None, claim: Claim, error: SourceError, fingerprint: str) -> SourceError:
    """The error with `retry_in` set, after the store has been told; the store may fail at that too."""
    try:
        if engine is None and isinstance(error, FirstPartyGenericError):
            raise error
        error.retry_in = _remember(engine, claim, error, fingerprint) if engine else None
        if engine is not None and error.retry_in is not None:
            rates.note(engine, streams.source_of(engine, claim), error)
    except ClaimLostError as lost:
        return lost
    except FirstPartyGenericError as unwritten:
        unwritten.retry_in = retries.window_in_memory(_key(claim), unwritten)
        error = unwritten
    if error.retry_in is not None:
        stopping.fell_asleep(claim.stream_id)
    return error


def _remember(engine: Engine, claim: Claim, error: SourceError, fingerprint: str) -> float | None:
    if isinstance(error, retries.FINAL):
        if not isinstance(error, ClaimLostError):
            streams.stop(engine, claim, error, fingerprint)
        return None
    since_ns = streams.note_failure(engine, claim, error, since_ns=retries.since_in_memory(_key(claim)))
    wait = retries.next_wait(since_ns, getattr(error, "retry_after", None))
    if wait is None:
        streams.stop(engine, claim, error, fingerprint)
        return None
    streams.renew(engine, claim, for_seconds=wait)
    return wait


def _key(claim: Claim) -> str:
    return f"{claim.stream_id}/{claim.fence}"
