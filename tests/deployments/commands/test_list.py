"""The command `list`: all sources in 80 columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.command_calls import CommandCalls
from support.lifecycle_commands import apply, fill

if TYPE_CHECKING:
    from deployments.sandbox.process import SandboxProcess

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("clean_sandbox")]


def test_a_list_of_all_sources_in_80_columns(call: CommandCalls, applied_source: str, api: SandboxProcess) -> None:
    fill(applied_source)
    apply(call, "b", api, supported_apis=["audit"])
    call("stop", "b")
    apply(call, "a name that is so long that it has to be broken into several lines of the table", api)
    call("delete", "b")
    shown = call("list")
    assert max(map(len, shown.splitlines())) <= 80
    listed = {one["source"]: one for one in call.json("list")}
    assert (listed[applied_source]["health"], listed[applied_source]["events"]) == ("not run yet", 30)
    assert (listed["b"]["health"], listed["b"]["deleted_at"] is not None) == ("deleted", True)
