"""`status --format prometheus`, read by Prometheus's own parser, on both databases."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text
from support.forwarding import SIEM, FakeSender, Pair
from support.moving_clock import START_NS, MovingClock
from support.values import SOURCE

from blocks import clock
from blocks.errors import ThirdPartyConfigError, ThirdPartyGenericError
from blocks.events_api.models import Api
from blocks.events_api.rate_limit import DOCUMENTED
from blocks.health import WARNING, Condition
from blocks.store import health, rate_limit_windows, sources, streams
from blocks.store.database_size import database_size
from blocks.store.engine import sqlite_path
from deployments import cli
from deployments.one_machine.metrics import PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from prometheus_client.metrics_core import Metric
    from sqlalchemy import Engine

    from blocks.store.streams import StreamClaim

    Scrape = Callable[..., "Metrics"]

NASTY = replace(SOURCE, id="2" * 32, name='a "quoted" \\ 日本', fingerprint="second", apis=(Api.AUDIT,))
START = START_NS / 1e9


@pytest.fixture(autouse=True)
def moving(monkeypatch: pytest.MonkeyPatch, store_url: str) -> MovingClock:
    own = MovingClock()
    monkeypatch.setattr(clock, "clock", own)
    monkeypatch.setenv("ONEPASSWORD_SOURCE_DATABASE_URL", store_url)
    return own


class Metrics:
    """What a scraper has understood."""

    def __init__(self, families: Mapping[str, Metric]) -> None:
        self.families = families

    def value(self, metric: str, /, **labels: str) -> float | None:
        found = [
            sample.value
            for family in self.families.values()
            for sample in family.samples
            if sample.name == f"onepassword_source_{metric}" and sample.labels == {"source": "1Pass", **labels}
        ]
        assert len(found) <= 1
        return found[0] if found else None


@pytest.fixture
def scrape(capsysbinary: pytest.CaptureFixture[bytes]) -> Scrape:
    def ask(code: int = cli.DONE) -> Metrics:
        assert cli.main(["status", "--format", "prometheus"]) == code
        out, err = capsysbinary.readouterr()
        assert err == b""
        assert out.endswith(b"\n")
        families = list(text_string_to_metric_families(out.decode()))
        assert len({family.name for family in families}) == len(families)
        assert all(family.documentation for family in families)
        return Metrics({family.name: family for family in families})

    return ask


def test_the_metrics_of_a_source_that_collects(
    engine: Engine, claim: StreamClaim, moving: MovingClock, scrape: Scrape
) -> None:
    streams.record_drain(engine, claim, clock.now_ns(), streams.DrainStats(lag_ns=1_500_000_000))
    sources.save_state(engine, SOURCE.id, "Collected", "", "run-1")
    with engine.begin() as connection:
        values = "events = 5, pruned = 2, quarantined = 1, late = 3, missed = 4, changed = 5, newest_ns = 1500000000"
        connection.execute(text(f"UPDATE streams SET {values} WHERE api = 'audit'"))
    moving.advance(90)
    found = scrape()
    assert found.value("healthy") == 1
    assert found.value("state", state="healthy") == 1
    assert found.value("state", state="in_error") == 0
    assert found.value("last_run_timestamp_seconds") == START
    assert {name: found.value(name, api="audit") for name in PER_API} == PER_API
    assert found.value("events_total", api="sign-in") == 0
    assert found.value("collector_lag_seconds", api="sign-in") is None
    assert found.families["onepassword_source_events"].type == "counter"
    assert found.families["onepassword_source_collector_lag_seconds"].type == "gauge"
    assert [sample.labels["version"] for sample in found.families["onepassword_source_build_info"].samples] == ["0.1.0"]


PER_API = {
    "events_total": 7,
    "pruned_total": 2,
    "quarantined": 1,
    "late_total": 3,
    "missed_total": 4,
    "changed_total": 5,
    "collector_lag_seconds": 90,
    "event_lag_seconds": 1.5,
    "newest_event_timestamp_seconds": 1.5,
    "last_success_timestamp_seconds": START,
    "failing_since_timestamp_seconds": None,
    "stopped": 0,
}


def test_errors_and_conditions(engine: Engine, claim: StreamClaim, moving: MovingClock, scrape: Scrape) -> None:
    streams.record_failure(engine, claim, ThirdPartyGenericError("It answered 500.", code="500"))
    moving.advance(60)
    found = scrape()
    assert found.value("failing_since_timestamp_seconds", api="audit") == START
    assert found.value("state", state="retrying") == 1
    streams.stop(engine, claim, ThirdPartyConfigError("The token was refused.", code="401"), SOURCE.fingerprint)
    token = Condition("token", "TokenExpires", WARNING, "It expires.")
    health.update_conditions(engine, SOURCE.id, [token], [])
    found = scrape(code=cli.IN_ERROR)
    assert (found.value("healthy"), found.value("state", state="in_error")) == (0, 1)
    assert (found.value("stopped", api="audit"), found.value("stopped", api="sign-in")) == (1, 0)
    error = {"tracker": "error/audit", "name": "ThirdPartyConfigError", "severity": "Error"}
    expires = {"tracker": "token", "name": "TokenExpires", "severity": "Warning"}
    assert found.value("condition", **error) == found.value("condition", **expires) == 1
    assert found.value("condition_since_timestamp_seconds", **error) == START
    assert found.value("condition_since_timestamp_seconds", **expires) == START + 60


def test_a_source_whose_runs_do_not_begin_has_the_condition_although_no_run_wrote_it(
    engine: Engine, claim: StreamClaim, moving: MovingClock, scrape: Scrape
) -> None:
    streams.record_drain(engine, claim, clock.now_ns())
    sources.save_state(engine, SOURCE.id, "Collected", "", "run-1")
    moving.advance(721)
    found = scrape(code=cli.IN_ERROR)
    not_running = {"tracker": "runs", "name": "NotRunning", "severity": "Warning"}
    assert (found.value("condition", **not_running), found.value("state", state="not_running")) == (1, 1)
    assert found.value("condition_since_timestamp_seconds", **not_running) == START
    moving.advance(2880)
    found = scrape(code=cli.IN_ERROR)
    assert found.value("condition", **{**not_running, "severity": "Error"}) == 1
    assert found.value("condition", tracker="lag/audit", name="Lag", severity="Warning") == 1


def test_any_name_can_be_a_label(engine: Engine, scrape: Scrape) -> None:
    sources.save(engine, NASTY)
    (sample,) = scrape().families["onepassword_source_healthy"].samples
    assert sample.labels == {"source": NASTY.name}


def test_a_store_without_sources_has_the_build_and_its_size(engine: Engine, scrape: Scrape) -> None:
    samples = {sample.name.removeprefix(PREFIX) for family in scrape().families.values() for sample in family.samples}
    assert samples == {
        "build_info",
        "store_size_bytes",
        "store_growth_bytes_per_day",
        "disk_used_bytes",
        "disk_free_bytes",
    }


def test_when_a_token_expires(engine: Engine, scrape: Scrape) -> None:
    sources.save(engine, SOURCE)
    assert scrape().value("token_expires_timestamp_seconds") is None
    sources.save(engine, replace(SOURCE, token_expires_ns=START_NS + 5 * 10**9))
    assert scrape().value("token_expires_timestamp_seconds") == START + 5


def test_the_size_of_the_store_and_the_free_disk(engine: Engine, store_url: str, scrape: Scrape) -> None:
    found = scrape().families
    (size,) = found[f"{PREFIX}store_size_bytes"].samples
    assert size.value == database_size(engine).size > 100_000
    free = {sample.labels["directory"]: sample.value for sample in found[f"{PREFIX}disk_free_bytes"].samples}
    assert all(0 < value == pytest.approx(shutil.disk_usage(place).free, rel=0.2) for place, value in free.items())
    if path := sqlite_path(store_url):
        assert str(Path(path).parent) in free


def test_how_much_of_the_rate_limits_is_used(engine: Engine, moving: MovingClock, scrape: Scrape) -> None:
    rate_limit_windows.acquire(engine, "account/A", DOCUMENTED, 7)
    moving.advance(120)
    rate_limit_windows.acquire(engine, "account/A", DOCUMENTED, 5)
    rate_limit_windows.pause(engine, "account/A", 30)
    found = scrape().families
    values = {
        (name, *sample.labels.values()): sample.value
        for name in ("rate_limit_used", "rate_limit_allowed", "rate_limit_paused_until_timestamp_seconds")
        for sample in found[PREFIX + name].samples
    }
    assert values == {
        ("rate_limit_used", "A", "60"): 5,
        ("rate_limit_used", "A", "3600"): 12,
        ("rate_limit_allowed", "A", "60"): 600,
        ("rate_limit_allowed", "A", "3600"): 30_000,
        ("rate_limit_paused_until_timestamp_seconds", "A"): START + 150,
    }
    moving.advance(31)
    assert not scrape().families[f"{PREFIX}rate_limit_paused_until_timestamp_seconds"].samples


def test_limits_that_are_off_have_no_metric(engine: Engine, scrape: Scrape, monkeypatch: pytest.MonkeyPatch) -> None:
    rate_limit_windows.acquire(engine, "account/A", DOCUMENTED, 7)
    monkeypatch.setenv("ONEPASSWORD_SOURCE_RATE_LIMITS", "off")
    assert not scrape().families[f"{PREFIX}rate_limit_used"].samples


def test_what_was_carried_over_to_an_account_is_shown_once(engine: Engine, scrape: Scrape) -> None:
    rate_limit_windows.acquire(engine, "source/1", DOCUMENTED, 7)
    accounts = [sample.labels["account"] for sample in scrape().families[f"{PREFIX}rate_limit_used"].samples]
    assert accounts == ["source/1", "source/1"]
    rate_limit_windows.carry_over(engine, "source/1", "account/A")
    accounts = [sample.labels["account"] for sample in scrape().families[f"{PREFIX}rate_limit_used"].samples]
    assert accounts == ["A", "A"]


def test_how_far_each_siem_is(engine: Engine, scrape: Scrape) -> None:
    pair = Pair.create(engine)
    pair.filled.commit(Api.AUDIT, 4)
    pair.forward(FakeSender(), Api.AUDIT)
    pair.filled.commit(Api.AUDIT, 2)
    found = scrape()
    of = {"siem": SIEM, "api": "audit"}
    assert found.value("forward_sent_total", **of) == 4
    assert found.value("forward_waiting", **of) == 2
    assert found.value("forward_oldest_waiting_timestamp_seconds", **of) == START
    assert found.value("forward_stopped", **of) == 0
    assert found.value("forward_failing_since_timestamp_seconds", **of) is None
