"""Tokens that are revoked, expire, are rotated, lose a scope or are of another account.

Each test runs the real flow against a real server; only the clock jumps from one wait to the next.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
from support.flow_runs import outcome
from support.one_machine import wait_until
from torture.network import (
    CONFIG,
    REFUSED,
    TICK,
    Victim,
    health_events_of,
    quiet_while_stopped,
)
from torture.outcome import request_count

from blocks.events_api.models import Api

if TYPE_CHECKING:
    from collections.abc import Callable

    from prefect.client.schemas.objects import State

pytestmark = [pytest.mark.prefect, pytest.mark.torture]


def test_a_revoked_token(start: Callable[..., Victim]) -> None:
    victim = start(300)
    victim.row.fault, victim.row.times = "revoked token", 1
    victim.collect()
    victim.arrive()
    victim.sandbox.revoke(victim.sandbox.token)
    victim.sandbox.clear_requests()
    state = victim.source.collect()
    assert outcome(state) == CONFIG
    assert request_count(victim.sandbox) == 0, "introspection was refused: no page is requested"
    nothing_while_stopped(victim)
    victim.save(token=victim.sandbox.issue_token())
    victim.collect()
    assert health_events_of(victim.source) == [(CONFIG, "Error", "error"), ("Recovered", "Error", "error")]
    victim.end()


def nothing_while_stopped(victim: Victim) -> None:
    """18 ticks of a source all of whose APIs are stopped: not one request, and one event."""
    victim.sandbox.clear_requests()
    for _ in range(18):
        victim.clock.advance(TICK)
        victim.collect(CONFIG, asks=False)
    assert victim.sandbox.requests()["total"] == 0
    assert victim.health_events() == [REFUSED]


def test_a_token_that_expires(start: Callable[..., Victim]) -> None:
    victim = start(300)
    victim.row.fault, victim.row.times = "expired token", 1
    victim.save(token=victim.sandbox.issue_token(expires_in=3600))
    victim.collect()
    victim.clock.advance(3700)
    victim.arrive()
    assert outcome(victim.source.collect()) == CONFIG
    assert victim.health_events("error") == [REFUSED]
    assert request_count(victim.sandbox) == 3
    victim.save(token=victim.sandbox.issue_token())
    victim.collect()
    assert victim.health_events("error") == [REFUSED, ("Recovered", "Error")]
    assert victim.health_events("token")[-1] == ("Recovered", "Warning")
    victim.end()


def test_a_token_of_another_account(start: Callable[..., Victim]) -> None:
    victim = start(300)
    victim.row.fault, victim.row.times = "token of another account", 1
    victim.collect()
    victim.arrive()
    victim.save(token=victim.sandbox.issue_token(account="ANOTHERACCOUNT"))
    before = request_count(victim.sandbox)
    assert outcome(victim.source.collect()) == CONFIG
    assert request_count(victim.sandbox) == before
    nothing_while_stopped(victim)
    victim.save()
    victim.collect()
    assert health_events_of(victim.source) == [(CONFIG, "Error", "error"), ("Recovered", "Error", "error")]
    victim.end()


def test_a_lost_scope(start: Callable[..., Victim]) -> None:
    """The stream recovers by itself: introspection at each tick of the other streams shows the scope again."""
    victim = start(300)
    victim.row.fault = "lost scope on one API"
    victim.collect()
    victim.sandbox.fault("lost_scope", api=Api.AUDIT.path)
    victim.arrive(1)
    assert "2 new events" in (victim.collect(CONFIG).message or "")
    quiet_while_stopped(victim, Api.AUDIT, ticks=6)
    victim.row.times = 7
    victim.sandbox.clear_faults()
    victim.collect(CONFIG)
    victim.collect()
    assert health_events_of(victim.source) == [
        ("ScopeLost", "Warning", "scope/auditevents"),
        (CONFIG, "Error", "error/audit"),
        ("ScopeGained", "Warning", "scope/auditevents"),
        ("Recovered", "Error", "error/audit"),
    ]
    victim.end()


def test_a_token_that_is_rotated_between_two_pages(start: Callable[..., Victim]) -> None:
    victim = start(15_000)
    victim.row.fault, victim.row.times = "token rotated in the middle of a run", 1
    victim.sandbox.fault("delay", on="cursor", times=3, seconds=2.0)
    states: list[State[Any]] = []
    run = threading.Thread(target=lambda: states.append(victim.source.collect()))
    run.start()
    wait_until(lambda: request_count(victim.sandbox) == 6)
    new = victim.sandbox.issue_token()
    victim.save(token=new)
    victim.sandbox.revoke(victim.sandbox.token)
    run.join(60)
    assert [outcome(state) for state in states] == ["Collected"]
    assert victim.health_events() == [], "an error that ends within a run"
    victim.allowed += 3 * len(Api)  # two that are refused: the current page and the one behind it; and the last pages
    victim.end()
