"""Faults of the server and of the network, which last for a moment, for 15 minutes and for 90 minutes.

Each test runs the real flow against a real server; only the clock jumps from one wait to the next.
"""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from support.certificates import ELSEWHERE, HERE, SERVER_KEY, certificate, write_authority
from support.flow_runs import outcome
from support.one_machine import wait_until
from torture.network import (
    ATTEMPTS,
    WINDOW,
    JumpingClock,
    Victim,
    claimed,
    descriptions,
    front,
    health_events_of,
    kept_of,
    new_source,
    quarantined,
)
from torture.outcome import Row, request_count

from blocks import clock
from blocks.events_api.client import EventsClient
from blocks.events_api.models import Api
from deployments.sandbox.process import running_sandbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from prefect.client.schemas.objects import State

pytestmark = [pytest.mark.prefect, pytest.mark.torture]

GENERIC = "ThirdPartyGenericError"
CONFIG = "ThirdPartyConfigError"
WARNED = (GENERIC, "Warning")
GAVE_UP = (GENERIC, "Error")
REFUSED = (CONFIG, "Error")
TICK = 300.0


@pytest.fixture
def jumping(monkeypatch: pytest.MonkeyPatch) -> JumpingClock:
    own = JumpingClock()
    monkeypatch.setattr(clock, "clock", own)
    return own


@pytest.fixture
def start(jumping: JumpingClock, tmp_path: Path, row: Row) -> Iterator[Callable[..., Victim]]:
    """A victim whose server has so many events; by default three pages of each API."""
    running = []

    def make(events: int = 7500, **members: Any) -> Victim:
        sandbox = running_sandbox(events=events, days=3)
        running.append(sandbox)
        source = new_source(sandbox.__enter__(), tmp_path)
        jumping.sandboxes.append(source.sandbox)
        jumping.readers = claimed(source.url)
        victim = Victim(source, jumping, row, allowed=len(Api) * (events // 3000))
        victim.save(**members)
        return victim

    yield make
    jumping.sandboxes.clear()
    for sandbox in running:
        sandbox.__exit__(None, None, None)


@dataclass(frozen=True)
class Weather:
    """A temporary fault. `client` sets smaller limits of the client, where the real ones would take minutes."""

    name: str
    kind: str
    options: dict[str, Any] = field(default_factory=dict)
    client: dict[str, Any] = field(default_factory=dict)
    gap: float = 1.0


SHORT = {"timeout": httpx.Timeout(0.5)}
SMALL = {"response_max": 2_000_000}
DATE = "a date"
PASSING = [
    Weather("429 with Retry-After (120)", "429", {"retry_after": "120"}, gap=120),
    Weather("429 with Retry-After (a date)", "429", {"retry_after": DATE}),
    Weather("429 without Retry-After", "429"),
    Weather("429, empty body", "429", {"form": "empty"}),
    Weather("500", "500"),
    Weather("502 with HTML", "502"),
    Weather("503 with a proxy's text", "503"),
    Weather("503 with Retry-After (30)", "503", {"retry_after": "30"}, gap=30),
    Weather("504 with HTML", "504"),
    Weather("200 with HTML", "html"),
    Weather("200 with half a JSON", "bad_json"),
    Weather("reset before the answer", "reset"),
    Weather("reset in the middle of the body", "reset", {"sent": 300}),
    Weather("truncated body", "truncated"),
    Weather("stall before the answer", "stall", client=SHORT),
    Weather("stall before the body", "stall", {"after_headers": True}, client=SHORT),
    Weather("stall, by the time for a whole answer", "stall", client={"deadline": 0.5}),
    Weather("oversized body", "oversized", {"bytes": 2_500_000}, client=SMALL),
    Weather("oversized once unpacked", "oversized", {"bytes": 2_500_000, "gzip": True}, client=SMALL),
    Weather("redirect to another host", "redirect"),
]


def strike(victim: Victim, weather: Weather, seconds: float | None, **more: Any) -> None:
    """Inject the fault for audit, and end it after so many seconds (None: the test ends it)."""
    options = dict(weather.options)
    if options.get("retry_after") == DATE:
        options["retry_after"] = format_datetime(datetime.fromtimestamp(clock.now() + 150, UTC), usegmt=True)
    victim.sandbox.fault(weather.kind, api=Api.AUDIT.path, **options, **more)
    if seconds is not None:
        victim.clock.after(seconds, victim.sandbox.clear_faults)
    victim.allowed += ATTEMPTS[seconds or WINDOW]


@pytest.mark.parametrize("weather", PASSING, ids=lambda weather: weather.name)
def test_one_api(
    weather: Weather, start: Callable[..., Victim], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in weather.client.items():
        monkeypatch.setitem(EventsClient.__init__.__kwdefaults__, name, value)
    victim = start()
    victim.row.fault = weather.name
    with front(tmp_path) as elsewhere:
        if weather.kind == "redirect":
            weather.options["location"] = f"{elsewhere.base_url}/api/v2/auditevents"
        for_a_moment(victim, weather)
        for_a_quarter_of_an_hour(victim, weather)
        for_90_minutes(victim, weather)
        assert elsewhere.requests == [], "no request, and so no token, went to another host"
    after_a_restart(victim)
    times = victim.times_of(Api.AUDIT)
    victim.row.times = len(victim.clock.waits)
    assert all(wait >= weather.gap for wait in victim.clock.waits if weather.gap > 1)
    assert len(times) < 1000 - 200, "the server's log has them all"
    victim.end()


def for_a_moment(victim: Victim, weather: Weather) -> None:
    """Between the first page and the second: the first page is kept, and no health event is reported."""
    strike(victim, weather, 60.0, skip=1)
    victim.collect()
    assert victim.is_complete()
    assert victim.health_events() == []
    check_gaps(victim, weather)


def for_a_quarter_of_an_hour(victim: Victim, weather: Weather) -> None:
    victim.arrive()
    strike(victim, weather, 900.0)
    victim.collect()
    assert victim.is_complete()
    assert victim.health_events("error/audit") == [WARNED, ("Recovered", "Warning")]
    check_gaps(victim, weather)


def for_90_minutes(victim: Victim, weather: Weather) -> None:
    victim.arrive()
    began_ns, before = clock.now_ns(), request_count(victim.sandbox, Api.AUDIT.path)
    strike(victim, weather, None)
    state = victim.collect(GENERIC)
    assert "6 new events (sign-in 3, itemUsage 3)" in (state.message or "")
    assert WINDOW <= (clock.now_ns() - began_ns) / 1e9 <= WINDOW + TICK
    assert 15 <= request_count(victim.sandbox, Api.AUDIT.path) - before <= ATTEMPTS[WINDOW]
    assert victim.health_events()[2:] == [WARNED, GAVE_UP]
    check_gaps(victim, weather)


def after_a_restart(victim: Victim) -> None:
    """A stream that has given up makes no request before a restart, even if the server answers again."""
    victim.sandbox.clear_faults()
    before = request_count(victim.sandbox, Api.AUDIT.path)
    victim.clock.advance(TICK)
    victim.collect(GENERIC)
    assert request_count(victim.sandbox, Api.AUDIT.path) == before
    victim.restart()
    victim.collect()
    assert victim.health_events() == [WARNED, ("Recovered", "Warning"), WARNED, GAVE_UP, ("Recovered", "Error")]


def check_gaps(victim: Victim, weather: Weather) -> None:
    """By the server's own clock: no refused request is repeated before its retry time."""
    found = [one for one in victim.sandbox.requests()["last"] if one["endpoint"].endswith(Api.AUDIT.path)]
    at = victim.times_of(Api.AUDIT)
    gaps = [later - earlier for one, earlier, later in zip(found, at, at[1:], strict=False) if one["fault"]]
    assert gaps
    assert min(gaps) >= weather.gap
    if weather.options.get("retry_after") == DATE:
        assert max(gaps[:1]) >= 148


@pytest.mark.parametrize("form", [{}, {"gzip": True}, {"chunked": True}], ids=["plain", "gzip", "chunked"])
def test_a_body_over_the_bound_of_the_client(form: dict[str, Any], start: Callable[..., Victim]) -> None:
    """The client's real limit of 64 MiB."""
    victim = start(300)
    victim.row.fault = f"oversized body of 70 MB{''.join(f' ({name})' for name in form)}"
    victim.sandbox.fault("oversized", api=Api.AUDIT.path, times=2, bytes=70_000_000, **form)
    victim.collect()
    assert victim.health_events() == []
    assert len(victim.clock.waits) == 2
    victim.row.times = 2
    victim.allowed += 2
    victim.end()


def test_both_rate_windows(start: Callable[..., Victim]) -> None:
    """Scaled: 10 requests in a minute and 25 in an hour, of the 33 that there are to make."""
    victim = start(30_000)
    victim.row.fault = "both rate windows exhausted"
    victim.sandbox.rates((10, 60.0), (25, 3600.0))
    began_ns = clock.now_ns()
    victim.collect()
    assert 3600 <= (clock.now_ns() - began_ns) / 1e9 <= 2 * 3600
    for api in Api:
        assert victim.health_events(f"error/{api}") in ([], [WARNED, ("Recovered", "Warning")])
    assert victim.health_events()
    refused = sum(each.get("429", 0) for each in victim.sandbox.requests()["endpoints"].values())
    assert refused <= 3 * ATTEMPTS[WINDOW]
    victim.row.times = refused
    victim.allowed += refused
    victim.end()


# The network


CERTIFICATES = {
    "wrong name": certificate(ELSEWHERE),
    "expired": certificate(HERE, days=-1),
    "self-signed": certificate(HERE, signed_by=SERVER_KEY),
}


@pytest.mark.parametrize("kind", CERTIFICATES)
def test_tls(kind: str, start: Callable[..., Victim], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The certificate is replaced by an invalid one for longer than 90 minutes, then by a valid one."""
    monkeypatch.setenv("SSL_CERT_FILE", write_authority(tmp_path / "authority.pem"))
    victim = start(300)
    victim.row.fault = f"TLS: {kind}"
    with front(tmp_path, victim.sandbox) as before:
        before.shows(certificate(HERE))
        victim.save(base_url=before.base_url)
        victim.collect()
        victim.arrive()
        before.shows(CERTIFICATES[kind])
        read, requests_before = len(before.requests), request_count(victim.sandbox)
        before.handshakes = 0
        state = victim.collect(GENERIC)
        assert "The certificate of localhost was refused" in (state.message or "")
        assert "Nothing was sent" in (state.message or "")
        assert 15 * 3 <= before.handshakes <= ATTEMPTS[WINDOW] * 3 + 1, "one for each attempt, one to introspect"
        assert len(before.requests) == read, "the server never saw a request, and so no token"
        assert request_count(victim.sandbox) == requests_before
        gave_up_everywhere(victim)
        victim.row.times = before.handshakes
        before.shows(certificate(HERE))
        victim.restart()
        victim.collect()
        recovered_everywhere(victim)
    victim.end()


def test_dns(start: Callable[..., Victim], monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that does not resolve, until the configuration has the right one."""
    monkeypatch.setenv("ONEPASSWORD_SOURCE_ALLOWED_HOSTS", "events.nowhere.invalid")
    victim = start(300)
    victim.row.fault = "DNS: the name does not resolve"
    victim.collect()
    victim.arrive()
    requests_before = request_count(victim.sandbox)
    victim.save(base_url="https://events.nowhere.invalid")
    state = victim.collect(GENERIC)
    assert "The name events.nowhere.invalid could not be resolved" in (state.message or "")
    assert 15 * 3 <= len(victim.clock.waits) <= ATTEMPTS[WINDOW] * 3
    gave_up_everywhere(victim)
    victim.row.times = len(victim.clock.waits)
    assert request_count(victim.sandbox) == requests_before
    victim.save()
    victim.collect()
    recovered_everywhere(victim)
    victim.end()


def test_a_port_without_a_server(start: Callable[..., Victim], tmp_path: Path) -> None:
    """The port is closed for 15 minutes: one health event for each API, and all recover by themselves."""
    victim = start(300)
    victim.row.fault = "connection refused for 15 min"
    victim.save(base_url="http://127.0.0.1:1")
    victim.clock.after(900, victim.save)
    victim.collect()
    for api in Api:
        assert victim.health_events(f"error/{api}") == [WARNED, ("Recovered", "Warning")]
    assert len(victim.health_events()) == 6
    victim.row.times = len(victim.clock.waits)
    assert victim.row.times <= 3 * ATTEMPTS[900.0]
    victim.end()


def gave_up_everywhere(victim: Victim) -> None:
    for api in Api:
        assert victim.health_events(f"error/{api}") == [WARNED, GAVE_UP]
    waits = len(victim.clock.waits)
    victim.collect(GENERIC, asks=False)
    assert len(victim.clock.waits) == waits
    assert len(victim.health_events()) == 6, "and once only"


def recovered_everywhere(victim: Victim) -> None:
    for api in Api:
        assert victim.health_events(f"error/{api}") == [WARNED, GAVE_UP, ("Recovered", "Error")]
    assert len(victim.health_events()) == 9


# Cursors and pages


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


def quiet_while_stopped(victim: Victim, api: Api, ticks: int) -> None:
    """The other APIs are collected at each tick; this one makes no request and reports no other health event."""
    before, said = request_count(victim.sandbox, api.path), victim.health_events()
    for _ in range(ticks):
        victim.clock.advance(TICK)
        victim.arrive(1)
        state = victim.collect(CONFIG)
        assert "2 new events" in (state.message or "")
    assert request_count(victim.sandbox, api.path) == before
    assert victim.health_events() == said


# Tokens


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


# Events


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


# Two sources


def test_two_sources_of_one_account(start: Callable[..., Victim], tmp_path: Path) -> None:
    victim = start(3000)
    victim.row.fault, victim.row.times = "two sources of one account", 2
    other = Victim(new_source(victim.sandbox, tmp_path), victim.clock, victim.row)
    other.save()
    for _ in range(3):
        for one in (victim, other):
            one.collect()
        victim.arrive(1)
    for one in (victim, other):
        one.collect()
        assert health_events_of(one.source) == [("SharedAccount", "Warning", "shared-account")]
        one.row.compare(one.source.url, one.sandbox, one.source.name)
    victim.row.count_requests(victim.sandbox, 2 * victim.allowed)
