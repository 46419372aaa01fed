"""Faults of the server and of the network, which last for a moment, for 15 minutes and for 90 minutes.

Each test runs the real flow against a real server; only the clock jumps from one wait to the next.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from support.certificates import ELSEWHERE, HERE, SERVER_KEY, certificate, write_authority
from torture.network import (
    ATTEMPTS,
    GAVE_UP,
    GENERIC,
    TICK,
    WARNED,
    WINDOW,
    Victim,
    front,
    health_events_of,
    new_source,
)
from torture.outcome import request_count

from blocks import clock
from blocks.events_api.client import EventsClient
from blocks.events_api.models import Api

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


pytestmark = [pytest.mark.prefect, pytest.mark.torture]


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
