"""`/healthz` and `/metrics` before Prefect, behind the guard."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.responses import PlainTextResponse
from support.json_schemas import require_schema
from support.values import SOURCE

from blocks.store import sources
from deployments import up_health
from deployments.one_machine import health_pages
from deployments.one_machine.guard import guard_app
from deployments.one_machine.health_pages import HealthPages, metrics_auth
from deployments.up_health import Trouble, UpHealth

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sqlalchemy import Engine
    from starlette.types import Receive, Scope, Send

UI = "http://127.0.0.1:4200"
AUTH = "onepassword:the-password"
BASIC = "Basic " + base64.b64encode(AUTH.encode()).decode()
TROUBLE = Trouble("runs", "No run has worked for 7 min.", 1_790_000_000)


async def _prefect(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse("prefect")(scope, receive, send)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "up-health.json"


def written(file: Path, *troubles: Trouble, age: float = 0) -> Path:
    up_health.write(file, UpHealth(time.time() - age, not troubles, troubles, started=1, worker_restarts=2))
    return file


def ask(
    file: Path,
    path: str,
    *,
    auth: str | None = None,
    sources: Callable[[], bytes] = lambda: b"",
    method: str = "GET",
    times: int = 1,
    **headers: str,
) -> list[httpx.Response]:
    """Ask so many times at once, through the guard."""

    async def each() -> list[httpx.Response]:
        app = guard_app(HealthPages(_prefect, file, auth=auth, sources=sources), [UI])
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=UI) as client:
            requests = (client.request(method, path, headers=headers) for _ in range(times))
            return list(await asyncio.gather(*requests))

    return asyncio.run(each())


def test_a_disk_that_fills_is_shown_and_up_is_healthy(file: Path) -> None:
    warning = Trouble("disk", "Only 1 MB are free.", 5.0)
    up_health.write(file, UpHealth(time.time(), healthy=True, troubles=(), started=1, warnings=(warning,)))
    code, shown = healthz(file)
    assert (code, shown["warnings"]) == (200, [{"what": "disk", "text": "Only 1 MB are free.", "since": 5.0}])


def healthz(file: Path, auth: str | None = None) -> tuple[int, Any]:
    (answer,) = ask(file, "/healthz", auth=auth)
    assert answer.headers["cache-control"] == "no-store"
    require_schema("healthz", answer.json())
    return answer.status_code, answer.json()


def test_healthy(file: Path) -> None:
    code, shown = healthz(written(file))
    assert (code, shown["healthy"], shown["troubles"]) == (200, True, [])


def test_in_trouble(file: Path) -> None:
    code, shown = healthz(written(file, TROUBLE))
    assert (code, shown["healthy"]) == (503, False)
    assert shown["troubles"] == [{"what": "runs", "text": TROUBLE.text, "since": TROUBLE.since}]


@pytest.mark.parametrize("content", [None, b"", b"{}", b"\xff", b'{"time": "now"}'])
def test_a_file_that_is_missing_or_damaged_is_not_healthy(file: Path, content: bytes | None) -> None:
    if content is not None:
        file.write_bytes(content)
    code, shown = healthz(file)
    assert (code, shown["healthy"]) == (503, False)
    assert "nothing watches it" in shown["troubles"][0]["text"]


@pytest.mark.parametrize("age", [100, -100])
def test_a_file_that_is_not_fresh_is_not_healthy(file: Path, age: float) -> None:
    assert healthz(written(file, age=age))[0] == 503


def test_no_reason_where_up_answers_to_more_than_this_machine(file: Path) -> None:
    assert healthz(written(file, TROUBLE), AUTH) == (503, {"healthy": False})
    assert healthz(written(file), AUTH) == (200, {"healthy": True})


def test_everything_else_is_prefects(file: Path) -> None:
    for path, method in (("/", "GET"), ("/healthz", "POST"), ("/metrics/", "GET"), ("/api/health", "GET")):
        assert ask(file, path, method=method)[0].text == "prefect"


@pytest.mark.parametrize("path", ["/healthz", "/metrics"])
def test_the_guard_stands_before_them(file: Path, path: str) -> None:
    assert ask(file, path, Host="evil.example")[0].status_code == 400
    assert ask(file, path, Origin="https://evil.example")[0].status_code == 403


def values(text: str) -> dict[str, float]:
    families = list(text_string_to_metric_families(text))
    assert len({family.name for family in families}) == len(families)
    return {
        f"{sample.name}{''.join(sorted(sample.labels.values()))}": sample.value
        for family in families
        for sample in family.samples
    }


def test_the_metrics_of_the_sources_and_of_up(file: Path, engine: Engine, store_url: str,
                                              monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.setenv("ONEPASSWORD_SOURCE_DATABASE_URL", store_url)
    sources.save(engine, SOURCE)
    (answer,) = ask(written(file, TROUBLE), "/metrics", sources=health_pages.source_metrics)
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    found = values(answer.text)
    assert found["onepassword_source_healthy1Pass"] == 0
    assert found["onepassword_source_up_healthy"] == 0
    assert found["onepassword_source_up_troubleruns"] == 1
    assert found["onepassword_source_up_store_answers"] == 1
    assert found["onepassword_source_up_restarts_totalworker"] == 2
    assert found["onepassword_source_up_last_round_timestamp_seconds"] == pytest.approx(time.time(), abs=60)
    assert values(ask(written(file), "/metrics")[0].text)["onepassword_source_up_healthy"] == 1


def test_a_store_that_hangs_hides_nothing_of_up_and_is_read_once(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health_pages, "METRICS_SECONDS", 0.2)
    hung, calls = threading.Event(), []

    def hangs() -> bytes:
        calls.append(1)
        hung.wait(60)
        return b""

    try:
        answers = ask(written(file), "/metrics", sources=hangs, times=3)
    finally:
        hung.set()
    for answer in answers:
        found = values(answer.text)
        assert (found["onepassword_source_up_healthy"], found["onepassword_source_up_store_answers"]) == (1, 0)
    assert calls == [1]


def test_a_store_that_fails_hides_nothing_of_up(file: Path) -> None:
    def fails() -> bytes:
        raise ZeroDivisionError

    assert values(ask(written(file), "/metrics", sources=fails)[0].text)["onepassword_source_up_store_answers"] == 0


@pytest.mark.parametrize(
    ("auth", "header", "code"),
    [
        (AUTH, "", 401),
        (AUTH, "Basic x", 401),
        (AUTH, BASIC.lower(), 401),
        (AUTH, BASIC, 200),
        ("", "Basic ", 401),
        (None, "", 200),
    ],
)
def test_the_metrics_ask_for_the_password_where_others_are_answered(
    file: Path, auth: str | None, header: str, code: int
) -> None:
    (answer,) = ask(written(file), "/metrics", auth=auth, Authorization=header)
    assert answer.status_code == code
    assert ("www-authenticate" in answer.headers) == (code == 401)


@pytest.mark.parametrize(
    ("origins", "expected"),
    [
        (["http://127.0.0.1:4200", "http://localhost:4200"], None),
        (["http://[::1]:4200", "http://localhost:4200"], None),
        (["http://127.0.0.1:4200", "https://prefect.example.com"], AUTH),
        (["http://192.0.2.7:4200"], AUTH),
    ],
)
def test_the_names_of_up_decide_whether_metrics_need_a_password(origins: list[str], expected: str | None) -> None:
    assert metrics_auth(origins, AUTH) == expected


def test_what_is_written_can_be_read(file: Path) -> None:
    health = UpHealth(5.5, healthy=False, troubles=(TROUBLE,), started=1.5, server_restarts=3, worker_restarts=4)
    up_health.write(file, health)
    assert up_health.read(file) == health
    assert json.loads(file.read_bytes())["troubles"][0]["what"] == "runs"


async def _path(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse(f"prefect: {scope['path']} {scope['raw_path'].decode()}")(scope, receive, send)


def ask_server_alone(path: str, sources: Callable[[], bytes] = lambda: b"x 1\n") -> httpx.Response:
    async def request() -> httpx.Response:
        app = guard_app(HealthPages(_path, None, auth=AUTH, sources=sources), [UI])
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=UI) as client:
            return await client.get(path, headers={"authorization": BASIC})

    return asyncio.run(request())


def test_a_server_alone_is_as_healthy_as_prefect_says() -> None:
    assert ask_server_alone("/healthz").text == "prefect: /api/ready /api/ready"


def test_a_server_alone_has_the_metrics_of_the_sources_alone() -> None:
    answer = ask_server_alone("/metrics")
    assert (answer.status_code, answer.text) == (200, "x 1\n")


def test_a_server_alone_whose_store_does_not_answer_has_no_metrics() -> None:
    def fail() -> bytes:
        raise OSError("no store")

    assert ask_server_alone("/metrics", fail).status_code == 503
