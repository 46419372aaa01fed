"""`/healthz` and `/metrics` of a real `up`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import httpx
import pytest

from deployments import up_health

if TYPE_CHECKING:
    from support.one_machine import RunningUp


@pytest.mark.prefect
def test_both_pages_need_no_password_and_the_rest_does(running_up: RunningUp) -> None:
    file = running_up.data / "up-health.json"
    address = f"http://127.0.0.1:{running_up.port}"
    up_health.write(file, up_health.UpHealth(time.time(), healthy=True, troubles=(), started=1))
    answer = httpx.get(f"{address}/healthz")
    assert (answer.status_code, answer.json()["healthy"]) == (200, True)
    file.unlink()
    assert httpx.get(f"{address}/healthz").status_code == 503
    assert b"onepassword_source_up_healthy 0.0" in httpx.get(f"{address}/metrics", timeout=30).content
    assert httpx.get(f"{address}/healthz", headers={"Host": "evil.example"}).status_code == 400
    assert httpx.get(f"{address}/api/admin/version").status_code == 401
