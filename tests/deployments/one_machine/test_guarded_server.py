"""The guarded server: what uses Alembic waits until Prefect has migrated its database."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from deployments.one_machine.guarded_server import _after_startup

if TYPE_CHECKING:
    from starlette.types import Message, Receive, Scope, Send

pytestmark = pytest.mark.prefect  # it imports Prefect's server


def play(messages: list[str], scope: str = "lifespan") -> list[str]:
    """What happens, in order, if an app sends these messages."""
    events: list[str] = []

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        for kind in messages:
            events.append(f"app: {kind}")
            await send({"type": kind})

    async def send(message: Message) -> None:
        events.append(f"sent: {message['type']}")

    async def receive() -> Any:
        raise AssertionError

    asyncio.run(_after_startup(app, lambda: events.append("action"))({"type": scope}, receive, send))  # type: ignore[arg-type]
    return events


def test_it_acts_once_the_app_has_started_and_before_requests_come() -> None:
    assert play(["lifespan.startup.complete", "lifespan.shutdown.complete"]) == [
        "app: lifespan.startup.complete",
        "action",
        "sent: lifespan.startup.complete",
        "app: lifespan.shutdown.complete",
        "sent: lifespan.shutdown.complete",
    ]


@pytest.mark.parametrize(
    ("message", "scope"), [("lifespan.startup.failed", "lifespan"), ("lifespan.startup.complete", "http")]
)
def test_an_app_that_does_not_start_and_a_request_begin_nothing(message: str, scope: str) -> None:
    assert "action" not in play([message], scope)
