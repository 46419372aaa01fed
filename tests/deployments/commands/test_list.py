"""The command `list`: all sources in 80 columns."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.command_calls import CommandCalls
from support.lifecycle_commands import apply, fill

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deployments.sandbox.process import SandboxProcess

pytestmark = pytest.mark.prefect


@pytest.fixture(autouse=True)
def _without_faults(own_directory: Path, api: SandboxProcess) -> Iterator[None]:
    yield
    api.clear_faults()


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    return str(request.node.name).removeprefix("test_")[:30] + request.node.name[-6:]


@pytest.fixture
def source(name: str, call: CommandCalls, api: SandboxProcess) -> str:
    """A source that was applied, and never run."""
    apply(call, name, api)
    return name


def test_a_list_of_all_sources_in_80_columns(call: CommandCalls, source: str, api: SandboxProcess) -> None:
    fill(source)
    apply(call, "b", api, supported_apis=["audit"])
    call("stop", "b")
    apply(call, "a name that is so long that it has to be broken into several lines of the table", api)
    call("delete", "b")
    shown = call("list")
    assert max(map(len, shown.splitlines())) <= 80
    listed = {one["source"]: one for one in call.json("list")}
    assert (listed[source]["health"], listed[source]["events"]) == ("not run yet", 30)
    assert (listed["b"]["health"], listed["b"]["deleted_at"] is not None) == ("deleted", True)
