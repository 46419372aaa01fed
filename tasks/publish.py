"""Pass health events on: to the log, and to Prefect, where automations wait for them. Each at least once."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import httpx
from prefect import get_client, get_run_logger
from prefect.events.schemas.events import Event, RelatedResource, Resource
from prefect.exceptions import PrefectException
from prefect.runtime import flow_run
from whenever import Instant

from blocks.errors import SourceError
from blocks.health import HEALTHY
from blocks.store import health
from tasks import unstored
from tasks.source import opened_store

if TYPE_CHECKING:
    from collections.abc import Sequence

    from blocks.health import HealthEvent

PREFIX = "onepassword-source.health."


def publish(source_id: str) -> None:
    """Pass on what the store holds of a source that was not passed on yet.

    An event bears its own id, so one that is sent again after a kill is known to be the same. Where Prefect cannot
    be told, the event stays for the next time.
    """
    if (engine := opened_store(source_id)) is None:
        return
    try:
        unstored.bring_back(engine, source_id)
        events = health.unpublished(engine, source_id)
        if events and tell_prefect(events):
            health.mark_published(engine, events)
            _log(events)
    except SourceError as error:
        get_run_logger().warning("Health events could not be read from the store; they follow later. %s", error)


def tell_prefect(events: Sequence[HealthEvent]) -> bool:
    """Emit events on the Prefect server; False where it did not take them.

    Not with Prefect's `emit_event`, which only queues them: here the server has said yes before they count as told.
    """
    wanted = [_prefect_event(event).model_dump(mode="json") for event in events]
    try:
        with get_client(sync_client=True) as client:
            client.request("POST", "/events", json=wanted)
    except (httpx.HTTPError, PrefectException, RuntimeError) as error:
        get_run_logger().warning("Prefect could not be told of a health event (%s).", type(error).__name__)
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
        occurred=Instant.from_timestamp_nanos(event.time_ns).py_datetime(),
        event=PREFIX + event.name,
        resource=Resource(members),
        related=[RelatedResource(run)] if flow_run.id else [],
        payload=event.as_json(),
    )
