"""This Prefect knows each setting and keeps runs as long as you say. `test_up.py` shows what the scheduler does."""

from __future__ import annotations

import pytest

from blocks.errors import ThirdPartyConfigError
from deployments.prefect_api import server_settings

SETTINGS = {**server_settings.SERVER, **server_settings.RUNS, **server_settings.retention()}


@pytest.mark.parametrize("name", SETTINGS)
def test_prefect_knows_the_setting(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from prefect.settings.models.root import Settings

    monkeypatch.setenv(name, SETTINGS[name])
    assert name in Settings().to_environment_variables(exclude_unset=True)


def test_the_server_reports_to_no_one_and_keeps_slots_on_disk() -> None:
    quiet = ("ANALYTICS_ENABLED", "UI_V2_ENABLED", "UI_SHOW_PROMOTIONAL_CONTENT")
    assert {server_settings.SERVER[f"PREFECT_SERVER_{name}"] for name in quiet} == {"false"}
    assert server_settings.SERVER["PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE"].endswith(".filesystem")


@pytest.mark.parametrize(
    ("setting", "runs", "events"), [(None, 14 * 86_400, 172_800), ("12h", 43_200, 43_200), ("8w", 56 * 86_400, 172_800)]
)
def test_runs_are_kept_as_long_as_you_say_and_events_two_days_at_most(
    monkeypatch: pytest.MonkeyPatch, setting: str | None, runs: int, events: int
) -> None:
    if setting:
        monkeypatch.setenv("ONEPASSWORD_SOURCE_RUNS_KEPT", setting)
    assert server_settings.retention() == {
        "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",
        "PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD": str(runs),
        "PREFECT_SERVER_EVENTS_RETENTION_PERIOD": f"PT{events}S",
    }


@pytest.mark.parametrize(
    ("sources", "runs", "events"),
    [(0, 336, 48), (1, 336, 48), (11, 336, 48), (12, 330, 48), (30, 132, 28), (300, 13, 3), (1000, 12, 3)],
)
def test_many_sources_keep_less_so_that_it_fits(sources: int, runs: int, events: int) -> None:
    kept = server_settings.retention(sources)
    assert kept["PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD"] == str(runs * 3600)
    assert kept["PREFECT_SERVER_EVENTS_RETENTION_PERIOD"] == f"PT{events * 3600}S"


def test_what_you_set_holds_for_many_sources_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEPASSWORD_SOURCE_RUNS_KEPT", "8w")
    kept = server_settings.retention(300)
    assert kept["PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD"] == str(56 * 86_400)


@pytest.mark.parametrize("text", ["1h", "0d", "60m", "14", "forever"])
def test_what_is_no_time_of_more_than_an_hour_is_an_error(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("ONEPASSWORD_SOURCE_RUNS_KEPT", text)
    with pytest.raises(ThirdPartyConfigError, match="RUNS_KEPT"):
        server_settings.retention()
