"""Publish health events to the log and to Prefect, where automations wait for them. Each at least once."""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import httpx
from prefect import get_client, get_run_logger
from prefect.events.schemas.events import Event, RelatedResource, Resource
from prefect.exceptions import PrefectException
from prefect.runtime import flow_run

from blocks import clock
from blocks.errors import FirstPartyGenericError, SourceError
from blocks.health import ERROR, HEALTHY, WARNING, error_condition
from blocks.store import health
from blocks.store.streams import REPORTED_AFTER_NS
from tasks.support import health_spool
from tasks.support.source import loaded_id, store_if_open

if TYPE_CHECKING:
    from collections.abc import Sequence

    from blocks.health import HealthEvent

PREFIX = "onepassword-source.health."
RETRY_AFTER_SECONDS = 60.0
"""The pause after a failed request, so that each run does not wait for a Prefect server that hangs."""

_not_before = 0.0


def publish(source_id: str) -> None:
    """Publish the health events of a source that the store holds and that were not published yet.

    An event has its own id, so Prefect recognizes one that is sent again after a kill. If Prefect does not accept the
    events, the next call sends them again.
    """
    if (engine := store_if_open(source_id)) is None:
        return
    try:
        health_spool.flush(engine, source_id)
        events = health.unpublished(engine, source_id)
        if events and emit_to_prefect(events):
            health.mark_published(engine, events)
            _log(events)
    except SourceError as error:
        get_run_logger().warning("Health events could not be read from the store. They are published later. %s", error)


def report_unstored(source: str, error: SourceError, since_ns: int | None) -> None:
    """Publish that the store does not answer, once that has lasted for a tick or retries have ended.

    The event is kept in a file until the store answers again.
    """
    source_id = loaded_id(source)
    if not isinstance(error, FirstPartyGenericError) or source_id is None or since_ns is None:
        return
    given_up = error.retry_in is None
    if given_up or clock.now_ns() - since_ns >= REPORTED_AFTER_NS:
        event = health_spool.append(source_id, source, error_condition(error, ERROR if given_up else WARNING))
        if event and emit_to_prefect([event]):
            _log([event])


def emit_to_prefect(events: Sequence[HealthEvent]) -> bool:
    """Emit events on the Prefect server; False if it did not accept them.

    Prefect's own `emit_event` only queues them. Here the server has acknowledged them before they count as published.
    """
    return _emit([_prefect_event(event) for event in events])


def _emit(events: Sequence[Event]) -> bool:
    global _not_before  # noqa: PLW0603 - one Prefect server for the whole process
    if time.monotonic() < _not_before:
        return False
    wanted = [event.model_dump(mode="json") for event in events]
    try:
        with get_client(sync_client=True) as client:
            client.request("POST", "/events", json=wanted)
    except (httpx.HTTPError, PrefectException, RuntimeError) as error:
        get_run_logger().warning("Prefect did not accept a health event (%s).", type(error).__name__)
        _not_before = time.monotonic() + RETRY_AFTER_SECONDS
        return False
    return True


def _log(events: Sequence[HealthEvent]) -> None:
    log = get_run_logger()
    for event in events:
        level = logging.INFO if event.status == HEALTHY else logging.WARNING
        log.log(level, "Health: %s (%s). %s", event.name, event.tracker, event.sentence)


def _prefect_event(event: HealthEvent) -> Event:
    members: dict[str, Any] = {
        "prefect.resource.id": f"onepassword-source.source.{event.source_id}",
        "prefect.resource.name": event.source_name,
        "onepassword-source.severity": event.severity,
        "onepassword-source.status": event.status,
    }
    run = {"prefect.resource.id": f"prefect.flow-run.{flow_run.id}", "prefect.resource.role": "flow-run"}
    return Event(
        id=event.event_id,
        occurred=datetime.fromtimestamp(event.time_ns / 1e9, UTC),
        event=PREFIX + event.name,
        resource=Resource(members),
        related=[RelatedResource(run)] if flow_run.id else [],
        payload=event.as_json(),
    )
