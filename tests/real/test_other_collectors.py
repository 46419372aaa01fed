"""What others collect from the sandbox is what we collect from it: Grove, and 1Password's own examples."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from real import counterparts, tls_detour
from support.clients import drain, open_client

from blocks.events_api.models import Api
from deployments.sandbox.process import running_sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

    from real.tls_detour import Detour

    from deployments.sandbox.process import SandboxProcess

pytestmark = pytest.mark.real
EVENTS = 4500  # more than a page of each API
EXAMPLES = "EVENTS_API_GENERIC"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxProcess]:
    with running_sandbox(events=EVENTS, seed=3) as process:
        yield process


@pytest.fixture
def detour(sandbox: SandboxProcess, tmp_path: Path) -> Iterator[Detour]:
    with tls_detour.to(httpx.URL(sandbox.base_url).port or 0, tmp_path) as made:
        yield made


def test_grove_collects_what_we_collect(sandbox: SandboxProcess, detour: Detour) -> None:
    program = Path(__file__).with_name("run_grove.py")
    done = subprocess.run(
        [counterparts.python("grove"), program],
        input=sandbox.token + "\n",
        env={**os.environ, **detour.environment()},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    theirs = json.loads(done.stdout.splitlines()[-1])
    with open_client(sandbox) as client:
        for api in Api:
            ours = [event.uuid for page in drain(client, api) for event in page.events]
            assert theirs[api.path] == ours
            assert len(set(ours)) > 1000


def test_the_python_example_of_1password_reads_the_sandbox(sandbox: SandboxProcess, detour: Detour) -> None:
    """It is on no registry: EVENTS_API_GENERIC names a clone of github.com/1Password/events-api-generic."""
    if not (folder := os.environ.get(EXAMPLES)):
        pytest.skip(f"{EXAMPLES} names no clone of 1Password's examples")
    before = sandbox.requests()["total"]
    done = subprocess.run(
        [counterparts.python(), Path(folder) / "eventsapi.py"],
        env={**os.environ, **detour.environment(), "EVENTS_API_TOKEN": sandbox.token},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Error" not in done.stdout
    assert sandbox.requests()["total"] == before + len(Api)
