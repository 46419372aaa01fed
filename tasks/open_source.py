"""Open a source: load and validate its block, open the store, claim the streams for this run."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from prefect import task

from blocks import clock
from blocks.errors import SourceError
from blocks.store import sources, streams
from blocks.store.streams import StreamClaim, StreamView
from tasks import attempts
from tasks.support.claims import claim_each, release_each
from tasks.support.publish import report_unstored
from tasks.support.source import load_and_share, open_store, source_record, store_if_open


@dataclass(frozen=True, slots=True)
class OpenedSource:
    """What this run claimed, the APIs that are stopped in error, and the APIs that other runs hold."""

    source_id: str
    opened_ns: int
    claims: tuple[StreamClaim, ...]
    stopped: tuple[StreamView, ...]
    elsewhere: tuple[StreamView, ...]


def open_source(source: str, run: str) -> OpenedSource:
    """Load the block of `source`, save it in the store, and claim its streams for the flow run `run`.

    A stream that stopped in error stays stopped while the configuration is the one with which it failed. A changed
    configuration takes every claim away and clears the errors. Raises SourceError after 90 minutes of attempts.
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
    views = streams.of_source(engine, record.id, record.apis)
    found = claim_each(views, record.fingerprint, lambda view: streams.acquire(engine, view, run))
    return OpenedSource(record.id, opened_ns, *found)


def release_claims(opened: OpenedSource) -> None:
    """Release what a stopped run still holds."""
    if (engine := store_if_open(opened.source_id)) is not None:
        release_each(opened.claims, partial(streams.release, engine))
