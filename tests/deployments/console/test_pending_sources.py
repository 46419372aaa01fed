"""Checked sources that wait to be added: for one session, and for a while."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.new_sources import NEW, FakeApply, check, form

from deployments.console.pending_sources import HELD_NS
from deployments.console.sessions import Role

if TYPE_CHECKING:
    from support.console_client import ConsoleClient
    from support.moving_clock import MovingClock

    from deployments.sandbox.process import SandboxProcess


def test_a_check_belongs_to_its_session_and_is_forgotten(
    api: SandboxProcess, applied: FakeApply, operator: ConsoleClient, moving: MovingClock
) -> None:
    operator = operator.as_role(Role.OPERATOR)
    _, job_id = check(operator, form(api))
    other = operator.as_role(Role.OPERATOR, "Eve")
    assert "can be added" not in other.page(f"{NEW}?check={job_id}").replace("cannot be added", "")
    assert other.post_form(f"{NEW}/add", check=job_id).status_code == 400
    moving.advance(HELD_NS / 1e9 + 1)
    assert "not kept any more" in operator.page(f"{NEW}?check={job_id}")
    assert operator.post_form(f"{NEW}/add", check=job_id).status_code == 400
    assert applied.configs == []
