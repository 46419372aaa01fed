"""The order of events: a run that was planned has no event to wait for, every other event has."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from prefect.server.events.ordering import EventArrivedEarly
from prefect.server.events.schemas.events import ReceivedEvent

from deployments.one_machine.event_order import CausalOrdering


def event(name: str, payload: dict[str, Any]) -> ReceivedEvent:
    """An event that names one before it, which has not arrived."""
    return ReceivedEvent(
        event=name,
        id=uuid4(),
        occurred=datetime.now(UTC),
        follows=uuid4(),
        resource={"prefect.resource.id": "prefect.flow-run.x"},
        payload=payload,
    )


def wait(given: ReceivedEvent) -> None:
    asyncio.run(CausalOrdering("test").wait_for_leader(given))


def test_a_run_that_was_planned_waits_for_no_event() -> None:
    wait(event("prefect.flow-run.Pending", {"intended": {"from": "SCHEDULED", "to": "PENDING"}}))


@pytest.mark.parametrize(
    ("name", "payload"),
    [
        ("prefect.flow-run.Running", {"intended": {"from": "PENDING", "to": "RUNNING"}}),
        ("prefect.flow-run.Running", {"intended": None}),
        ("prefect.flow-run.Running", {}),
        ("prefect.task-run.Running", {"intended": {"from": "SCHEDULED"}}),
    ],
)
def test_every_other_event_waits_for_the_one_before(name: str, payload: dict[str, Any]) -> None:
    with pytest.raises(EventArrivedEarly):
        wait(event(name, payload))
