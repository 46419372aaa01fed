"""Collect one stream: try, judge what went wrong, and try again for up to 90 minutes since the last progress."""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from prefect import get_run_logger, task

from blocks.errors import SourceError, UnexpectedError
from blocks.store import streams
from blocks.store.streams import StreamClaim
from tasks import attempts
from tasks.support import rate_gate
from tasks.support.drain import CollectResult, StreamReader
from tasks.support.publish import report_unstored
from tasks.support.source import (
    after_rotation,
    forget_source,
    loaded_id,
    open_store,
    shared_source,
    source_record,
    store_if_open,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Engine


@task(name="collect", **attempts.TASK_OPTIONS)
def collect_stream(source: str, claim: StreamClaim) -> CollectResult:
    """Read the stream of `claim` to its end; each page and its cursor are one commit.

    Submit a copy of this task for each stream (`with_options`), since its delay between attempts is its own.
    An error leaves here judged: remembered in the store, with `retry_in` set where the step is to be tried again.
    """
    fingerprint = ""

    def rotated(error: SourceError) -> SourceError:
        forget_source(source)
        return after_rotation(source, error, fingerprint)

    key = attempt_key(claim)
    try:
        with attempts.attempt(key, _record_of_claim(source, claim), replace_error=rotated) as attempt:
            block = shared_source(source)
            fingerprint = block.fingerprint()
            engine = open_store(block)
            attempt.open(StreamRecord(engine, claim, fingerprint))
            record = source_record(block)
            with block.credentials.get_client(block.api_version, slot=rate_gate.open_gate(engine, record)) as client:
                collected = StreamReader(engine, client, record, claim, get_run_logger()).drain()
    except SourceError as judged:
        report_unstored(source, judged, attempts.failing_since_ns(key))
        raise
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


def abandon(source: str, claims: Iterable[StreamClaim], error: SourceError) -> None:
    """Record an error that ended a run before it read, of each of its streams, and release them."""
    for claim in claims:
        with suppress(SourceError):  # the store does not answer: the claim lapses by itself
            if (record := _record_of_claim(source, claim)) is None:
                return
            if isinstance(error, UnexpectedError):
                record.stop(error)
            else:
                streams.release(record.engine, claim)


@dataclass(frozen=True, slots=True)
class StreamRecord:
    """Where the attempts at a stream are recorded: in its row."""

    engine: Engine
    claim: StreamClaim
    fingerprint: str | None

    def fail(self, error: SourceError, since_ns: int | None) -> int:
        return streams.record_failure(self.engine, self.claim, error, since_ns=since_ns)

    def wait(self, error: SourceError, seconds: float) -> None:
        streams.renew(self.engine, self.claim, for_seconds=seconds)
        rate_gate.pause_after_429(self.engine, streams.source_id_of(self.engine, self.claim), error)

    def stop(self, error: SourceError, *, noted: bool = False) -> None:
        again = isinstance(error, UnexpectedError)
        streams.stop(self.engine, self.claim, error, None if again else self.fingerprint, noted=noted)


def attempt_key(claim: StreamClaim) -> str:
    return f"{claim.stream_id}/{claim.fence}"


def _record_of_claim(source: str, claim: StreamClaim) -> StreamRecord | None:
    """The record in the store in which this process has taken the claim."""
    engine = store_if_open(loaded_id(source) or "")
    return None if engine is None else StreamRecord(engine, claim, None)
