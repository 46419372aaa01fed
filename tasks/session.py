"""One attempt to read from a source: its block, its store and a client, and errors that leave judged and recorded."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tasks import attempts
from tasks.support import rate_gate
from tasks.support.source import (
    after_rotation,
    forget_source,
    loaded_id,
    open_store,
    source_record,
    store_if_open,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Engine

    from blocks.errors import SourceError
    from blocks.events_api.client import EventsClient
    from blocks.source import OnePasswordSource
    from blocks.store.sources import SourceRecord


@dataclass(frozen=True, slots=True)
class SourceSession:
    """The store of a source, a client with its token, and what the store keeps of it."""

    engine: Engine
    client: EventsClient
    source: SourceRecord


@contextmanager
def open_session(
    name: str,
    key: str,
    record_in: Callable[[Engine, str | None], attempts.AttemptRecord],
    load: Callable[[str], OnePasswordSource],
    share: Callable[[], float] = lambda: rate_gate.LIVE,
) -> Iterator[SourceSession]:
    """One attempt of a task at a claim, see `attempts.attempt`. `key` names the claim.

    `record_in` makes the record of the attempt from a store and the configuration's fingerprint (None while the block
    is not loaded). `load` is one of `load_source` and `shared_source`. `share`: see `rate_gate.open_gate`.
    """
    fingerprint = ""

    def replace_error(error: SourceError) -> SourceError:
        forget_source(name)  # the next attempt loads the block, so that a changed configuration heals it
        return after_rotation(name, error, fingerprint)

    with attempts.attempt(key, record_if_open(name, record_in), replace_error=replace_error) as attempt:
        block = load(name)
        fingerprint = block.fingerprint()
        engine = open_store(block)
        attempt.open(record_in(engine, fingerprint))
        record = source_record(block)
        gate = rate_gate.open_gate(engine, record, share())
        with block.credentials.get_client(block.api_version, slot=gate) as client:
            yield SourceSession(engine, client, record)


def record_if_open(
    name: str, record_in: Callable[[Engine, str | None], attempts.AttemptRecord]
) -> attempts.AttemptRecord | None:
    """The record in the store in which this process took the claim; None if this process has not opened it."""
    engine = store_if_open(loaded_id(name) or "")
    return None if engine is None else record_in(engine, None)
