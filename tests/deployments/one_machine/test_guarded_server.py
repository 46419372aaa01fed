"""The guarded server: what uses Alembic waits until Prefect has migrated its database."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import uvicorn
from starlette.responses import PlainTextResponse

from deployments.one_machine.guarded_server import _after_startup, serve

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


@pytest.mark.parametrize(
    ("proxies", "peer", "client"),
    [
        ("10.0.0.0/24", "10.0.0.5", "https 192.0.2.1"),
        ("10.0.0.0/24", "127.0.0.1", "http 127.0.0.1"),
        ("", "127.0.0.1", "http 127.0.0.1"),
    ],
)
def test_it_believes_the_proxies_of_the_settings_alone(
    monkeypatch: pytest.MonkeyPatch, proxies: str, peer: str, client: str
) -> None:
    monkeypatch.setenv("ONEPASSWORD_SOURCE_TRUSTED_PROXIES", proxies)
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "*")  # uvicorn's own variable
    configs: list[uvicorn.Config] = []
    monkeypatch.setattr(uvicorn, "run", lambda app, **options: configs.append(uvicorn.Config(app, **options)))
    serve(_name_client, "127.0.0.1", 4200, log_level="WARNING")
    (config,) = configs
    config.load()
    transport = httpx.ASGITransport(config.loaded_app, client=(peer, 50000))
    assert asyncio.run(_get(transport)) == client


async def _name_client(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse(f"{scope['scheme']} {scope['client'][0]}")(scope, receive, send)


async def _get(transport: httpx.ASGITransport) -> str:
    headers = {"X-Forwarded-For": "198.51.100.7, 192.0.2.1", "X-Forwarded-Proto": "https"}
    async with httpx.AsyncClient(transport=transport) as client:
        return (await client.get("http://server/", headers=headers)).text
