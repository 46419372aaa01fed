"""Pages that a server should not send: cursors that it rejects or repeats, empty pages, events that are none.

Each test runs the real flow against a real server; only the clock jumps from one wait to the next.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest
from torture.network import (
    CONFIG,
    REFUSED,
    TICK,
    Victim,
    descriptions,
    health_events_of,
    kept_of,
    quarantined,
    quiet_while_stopped,
)
from torture.outcome import request_count

from blocks.events_api.models import Api

if TYPE_CHECKING:
    from collections.abc import Callable


pytestmark = [pytest.mark.prefect, pytest.mark.torture]


def test_a_rejected_cursor(start: Callable[..., Victim]) -> None:
    victim = start()
    victim.row.fault, victim.row.times = "rejected cursor", 1
    victim.collect()
    victim.arrive()
    victim.sandbox.fault("rejected_cursor", api=Api.AUDIT.path, times=1)
    victim.collect()
    assert victim.health_events("cursor/audit") == [("CursorRejected", "Warning"), ("Recovered", "Warning")]
    assert len(victim.health_events()) == 2
    victim.collect()
    victim.allowed += 1 + 3  # the refused one; and 48 hours of events again
    victim.end()


def test_a_cursor_that_is_rejected_again(start: Callable[..., Victim]) -> None:
    """The new one too: the API stops, and makes no request before a restart."""
    victim = start()
    victim.row.fault = "rejected cursor, and the new one too"
    victim.collect()
    victim.arrive()
    victim.sandbox.fault("rejected_cursor", api=Api.AUDIT.path)
    state = victim.collect(CONFIG)
    assert "A cursor was dropped once already, and the new one was rejected as well" in (state.message or "")
    assert victim.health_events() == [("CursorRejected", "Warning"), REFUSED]
    quiet_while_stopped(victim, Api.AUDIT, ticks=3)
    victim.row.times = 2
    victim.sandbox.clear_faults()
    victim.restart()
    victim.collect()
    assert victim.health_events("error/audit") == [REFUSED, ("Recovered", "Error")]
    assert victim.health_events("cursor/audit") == [("CursorRejected", "Warning"), ("Recovered", "Warning")]
    victim.allowed += 2 * 4
    victim.end()


@pytest.mark.parametrize("kind", ["stuck_cursor", "repeated_page"])
def test_a_cursor_that_never_moves(kind: str, start: Callable[..., Victim]) -> None:
    """For 90 minutes of ticks: one request each, and a warning once it is late."""
    victim = start()
    victim.row.fault = f"a cursor that never moves ({kind})"
    victim.save(lag_after="1h")
    victim.collect()
    victim.arrive()
    victim.sandbox.fault(kind, api=Api.AUDIT.path)
    before = request_count(victim.sandbox, Api.AUDIT.path)
    ticks(victim, 18, "the cursor does not move")
    assert request_count(victim.sandbox, Api.AUDIT.path) - before == 18
    victim.row.times = 18
    after_being_late(victim)


def test_empty_pages_for_ever(start: Callable[..., Victim]) -> None:
    victim = start()
    victim.row.fault = "has_more for ever on empty pages"
    victim.save(lag_after="1h")
    victim.collect()
    victim.arrive()
    victim.sandbox.fault("endless_pages", api=Api.AUDIT.path)
    before = request_count(victim.sandbox, Api.AUDIT.path)
    ticks(victim, 13, "sent 100 empty pages")
    victim.row.times = request_count(victim.sandbox, Api.AUDIT.path) - before
    assert victim.row.times <= 13 * 101
    victim.allowed += 13 * 101
    after_being_late(victim)


def ticks(victim: Victim, count: int, said: str) -> None:
    for _ in range(count):
        victim.clock.advance(TICK)
        state = victim.collect()
        assert said in (state.message or "")


def after_being_late(victim: Victim) -> None:
    assert victim.health_events() == [("Lag", "Warning")]
    victim.sandbox.clear_faults()
    victim.collect()
    assert victim.health_events() == [("Lag", "Warning"), ("Recovered", "Warning")]
    victim.end()


def test_400_on_a_first_request(start: Callable[..., Victim]) -> None:
    victim = start()
    victim.row.fault = "400 on a first request"
    victim.sandbox.fault("rejected_first", api=Api.AUDIT.path)
    state = victim.collect(CONFIG)
    assert "refused the first request for audit (400" in (state.message or "")
    assert victim.health_events() == [REFUSED]
    assert request_count(victim.sandbox, Api.AUDIT.path) == 1
    quiet_while_stopped(victim, Api.AUDIT, ticks=18)
    victim.row.times = 1
    victim.sandbox.clear_faults()
    victim.restart()
    victim.collect()
    assert victim.health_events() == [REFUSED, ("Recovered", "Error")]
    victim.end()


POISON = {
    "unknown_members": {"UnknownMember"},
    "unknown_values": {"UnknownValue"},
    "huge_numbers": {"UnknownMember"},
    "nul_escapes": {"UnknownMember"},
    "lone_surrogates": {"UnknownMember"},
    "no_uuid": {"EventsQuarantined"},
    "unreadable_time": {"EventsQuarantined"},
    "not_an_object": {"EventsQuarantined"},
    "big_event": {"UnknownMember"},
}


@pytest.mark.parametrize("kind", POISON)
def test_poison_between_good_events(kind: str, start: Callable[..., Victim]) -> None:
    victim = start(7500, silence_after="off")
    victim.row.fault = f"poison: {kind.replace('_', ' ')}{' (1 MB)' if kind == 'big_event' else ''}"
    victim.sandbox.fault(kind, api=Api.AUDIT.path, times=5, every=300)
    victim.collect()
    aside = quarantined(victim.source)
    assert {api: len(bodies) for api, bodies in aside.items()} == (
        {"audit": 5} if "Events" in str(POISON[kind]) else {}
    )
    events = health_events_of(victim.source)
    assert {(name, severity) for name, severity, _ in events} == {(name, "Warning") for name in POISON[kind]}
    assert len(set(descriptions(victim.source))) == len(events), "each once"
    victim.arrive()
    victim.collect()
    assert health_events_of(victim.source) == events
    compare_with_quarantine(victim)
    if aside:
        victim.clock.advance(25 * 3600)
        victim.collect()
        assert victim.health_events("quarantine/audit") == [("EventsQuarantined", "Warning"), ("Recovered", "Warning")]
    assert request_count(victim.sandbox) <= victim.allowed


def compare_with_quarantine(victim: Victim) -> None:
    """What is not an event is in quarantine, byte for byte; all the rest is an event."""
    row = victim.row
    row.times, row.events, row.lost, row.twice = 5, 0, 0, 0
    for api in Api:
        truth = Counter(victim.sandbox.events(api.path, "v2"))
        kept = Counter(kept_of(victim.source, api))
        row.events += kept.total()
        row.lost += (truth - kept).total()
        row.twice += (kept - truth).total()
    assert (row.lost, row.twice) == (0, 0)
    row.requests, row.allowed = request_count(victim.sandbox), victim.allowed
