"""Open a source: its block is loaded and valid, the store answers, and its streams are claimed for this run."""

from __future__ import annotations

from dataclasses import dataclass

from prefect import get_run_logger, task

from blocks import clock
from blocks.errors import SourceError
from blocks.store import sources, streams
from blocks.store.streams import StreamClaim, StreamView
from tasks import attempts
from tasks.support.publish import report_unstored
from tasks.support.source import load_and_share, open_store, source_record, store_if_open


@dataclass(frozen=True, slots=True)
class OpenedSource:
    """What a run found: streams that are its own now, streams in error for good, and streams that others hold."""

    source_id: str
    opened_ns: int
    claims: tuple[StreamClaim, ...]
    stopped: tuple[StreamView, ...]
    elsewhere: tuple[StreamView, ...]


def open_source(source: str, run: str) -> OpenedSource:
    """Load the block of `source`, write it into the store, and claim its streams for the flow run `run`.

    A stream in error for good is left alone while the configuration is the one that it failed with. A changed
    configuration takes every claim away and forgets the errors. Raises SourceError after 90 minutes of attempts.
    """
    return attempts.run_inline(_step, _key(run), source, run)


@task(name="open source", **attempts.TASK_OPTIONS)
def _step(source: str, run: str) -> OpenedSource:
    key = _key(run)
    try:
        with attempts.attempt_in_memory(key):
            return _open(source, run)
    except SourceError as error:
        report_unstored(source, error, attempts.failing_since_ns(key))
        raise


def _key(run: str) -> str:
    return f"open/{run}"


def _open(name: str, run: str) -> OpenedSource:
    opened_ns = clock.now_ns()
    block = load_and_share(name)
    engine = open_store(block)
    record = source_record(block)
    if sources.save(engine, record):
        streams.restart(engine, record.id)
    claims: list[StreamClaim] = []
    stopped: list[StreamView] = []
    elsewhere: list[StreamView] = []
    for view in streams.of_source(engine, record.id, record.apis):
        if view.stopped_fingerprint == record.fingerprint:
            stopped.append(view)
        elif claim := streams.acquire(engine, view, run):
            claims.append(claim)
        else:
            elsewhere.append(view)
    return OpenedSource(record.id, opened_ns, tuple(claims), tuple(stopped), tuple(elsewhere))


def release_claims(opened: OpenedSource) -> None:
    """Give back what a stopped run still holds, so that the next one need not wait until the claims lapse."""
    if (engine := store_if_open(opened.source_id)) is None:
        return
    for claim in opened.claims:
        try:
            streams.release(engine, claim)
        except SourceError as error:
            get_run_logger().warning(
                "The claim on %s could not be given back; it lapses by itself. %s", claim.api, error
            )
