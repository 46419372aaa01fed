"""A source with events and a Splunk, for the commands that forward."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from receivers.server import receiving
from receivers.splunk import TOKEN, SplunkHec
from support import siem_store
from support.siem_commands import EVENTS, apply_source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from receivers.server import Receiver
    from support.command_calls import CommandCalls

    from deployments.sandbox.process import SandboxProcess


@pytest.fixture
def splunk() -> Iterator[Receiver]:
    with receiving(SplunkHec()) as receiver:
        yield receiver


@pytest.fixture(autouse=True)
def _token_in_the_environment(own_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPLUNK_TOKEN_OF_TEST", TOKEN)


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    return str(request.node.name).removeprefix("test_")[:40]


@pytest.fixture
def source(name: str, call: CommandCalls, api: SandboxProcess) -> str:
    """A source that has events, with forwarding enabled."""
    apply_source(call, name, api)
    siem_store.commit(os.environ["ONEPASSWORD_SOURCE_DATABASE_URL"], name, EVENTS)
    return name
