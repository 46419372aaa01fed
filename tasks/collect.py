"""Collect one stream: one attempt reads it to its end. Failed attempts are retried, see `tasks.attempts`."""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from prefect import get_run_logger, task

from blocks.errors import SourceError, UnexpectedError
from blocks.store import streams
from blocks.store.streams import StreamClaim
from tasks import attempts
from tasks.session import open_session
from tasks.support import rate_gate
from tasks.support.drain import CollectResult, StreamReader
from tasks.support.publish import report_unstored
from tasks.support.source import loaded_id, shared_source, store_if_open

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Engine


@task(name="collect", **attempts.TASK_OPTIONS)
def collect_stream(source: str, claim: StreamClaim) -> CollectResult:
    """Read the stream of `claim` to its end. Each page and its cursor are one commit.

    Submit a copy of this task for each stream (`with_options`), since its delay between attempts is its own. An error
    leaves here judged: it is recorded in the store, and its `retry_in` is set if the task is retried.
    """
    key = attempt_key(claim)
    try:
        with open_session(source, key, partial(_record, claim), shared_source) as session:
            reader = StreamReader(session.engine, session.client, session.source, claim, get_run_logger())
            collected = reader.drain()
    except SourceError as judged:
        report_unstored(source, judged, attempts.failing_since_ns(key))
        raise
    _log(collected)
    return collected


def abandon(source: str, claims: Iterable[StreamClaim], error: SourceError) -> None:
    """Release the streams of a run that an error ended before it read. An unexpected error is recorded for each."""
    engine = store_if_open(loaded_id(source) or "")
    if engine is None:
        return
    for claim in claims:
        with suppress(SourceError):  # the store does not answer: the claim expires by itself
            if isinstance(error, UnexpectedError):
                StreamRecord(engine, claim, None).stop(error)
            else:
                streams.release(engine, claim)


@dataclass(frozen=True, slots=True)
class StreamRecord:
    """The record of attempts at a stream, in its row. So the 90 minutes go on in another process, too."""

    engine: Engine
    claim: StreamClaim
    fingerprint: str | None

    def fail(self, error: SourceError, since_ns: int | None) -> int:
        return streams.record_failure(self.engine, self.claim, error, since_ns=since_ns)

    def wait(self, error: SourceError, seconds: float) -> None:
        streams.renew(self.engine, self.claim, for_seconds=seconds)
        rate_gate.pause_after_429(self.engine, streams.source_id_of(self.engine, self.claim.stream_id), error)

    def stop(self, error: SourceError, *, noted: bool = False) -> None:
        # An unexpected error stops this run only. Without a fingerprint the next run tries again.
        fingerprint = None if isinstance(error, UnexpectedError) else self.fingerprint
        streams.stop(self.engine, self.claim, error, fingerprint, noted=noted)


def attempt_key(claim: StreamClaim) -> str:
    return f"{claim.stream_id}/{claim.fence}"


def _record(claim: StreamClaim, engine: Engine, fingerprint: str | None) -> StreamRecord:
    return StreamRecord(engine, claim, fingerprint)


def _log(collected: CollectResult) -> None:
    get_run_logger().log(
        logging.INFO if collected.new or collected.quarantined else logging.DEBUG,
        "%s: %d new, %d already known, %d put in quarantine; %d pages in %.1f s",
        collected.api,
        collected.new,
        collected.known,
        collected.quarantined,
        collected.pages,
        collected.seconds,
    )
