"""A client and its sandbox."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.clients import EVENTS, open_client

from blocks.events_api.client import EventsClient
from deployments.sandbox.process import running_sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deployments.sandbox.process import SandboxProcess


@pytest.fixture(scope="module")
def running() -> Iterator[SandboxProcess]:
    with running_sandbox(events=3 * EVENTS, seed=3) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running: SandboxProcess) -> Iterator[SandboxProcess]:
    yield running
    running.clear_faults()
    running.clear_requests()


@pytest.fixture
def client(sandbox: SandboxProcess) -> Iterator[EventsClient]:
    with open_client(sandbox) as client:
        yield client
