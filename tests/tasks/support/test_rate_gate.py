"""Requests that are held up on their way, against a server that counts them itself."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import psutil
from support.clients import START_NS, open_client
from support.one_machine import wait_until

from blocks.events_api.models import Api
from blocks.events_api.rate_limit import RateWindow
from deployments.sandbox.process import running_sandbox
from tasks.support import rate_gate

if TYPE_CHECKING:
    from sqlalchemy import Engine

BURST, SECONDS = 6, 2.0
HELD_UP = 1.0  # 30 times what a request may take on its way without more being said


def test_requests_that_are_held_up_on_their_way_cost_no_later_one_its_answer(engine: Engine) -> None:
    gate = rate_gate.RateGate(engine, "account/A", (RateWindow(BURST, SECONDS),), 1.0)
    with (
        running_sandbox(events=9, rate_windows=[(BURST, SECONDS)]) as sandbox,
        open_client(sandbox, slot=gate) as client,
        ThreadPoolExecutor(BURST) as pool,
    ):
        server = psutil.Process(sandbox.pid)
        server.suspend()
        try:
            begun = time.monotonic()
            first = [pool.submit(client.first_page, Api.AUDIT, START_NS) for _ in range(BURST)]
            wait_until(lambda: _connections_to(sandbox.base_url) == BURST)
            time.sleep(max(begun + HELD_UP - time.monotonic(), 0))
        finally:
            server.resume()
        for one in first:
            one.result()
        later = [pool.submit(client.first_page, Api.AUDIT, START_NS) for _ in range(BURST)]
        assert all(one.result().events for one in later), "none was denied"
        assert time.monotonic() - begun > HELD_UP + SECONDS


def _connections_to(base_url: str) -> int:
    port = int(base_url.rpartition(":")[2])
    return sum(1 for one in psutil.Process().net_connections("tcp") if one.raddr and one.raddr.port == port)
