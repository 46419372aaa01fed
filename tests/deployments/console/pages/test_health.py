"""The page of health events: what went wrong, what to do, and what ended it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from support.console_client import shown_text
from support.values import SOURCE

from blocks.health import ERROR, WARNING, Condition
from blocks.store import health, sources
from blocks.store.engine import writing
from deployments.console.sessions import Role

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from support.console_client import ConsoleClient
    from support.moving_clock import MovingClock

HOSTILE = "<script>x</script>\u202e\x1b[31m"


@pytest.fixture
def reported_health(store: Engine, moving: MovingClock) -> None:
    """An error that ended, a warning that is open, and a report."""
    sources.save(store, SOURCE)
    sources.save(store, replace(SOURCE, id="2" * 32, name="other"))
    error = Condition(
        "error/audit", "ThirdPartyConfigError", ERROR, "The token is rejected.", "audit", hint="Renew it."
    )
    with writing(store) as connection:
        health.begin(connection, SOURCE.id, error)
        moving.advance(600)
        health.end(connection, SOURCE.id, "error/audit", "The token works again.", "audit")
        moving.advance(60)
        health.begin(connection, "2" * 32, Condition("lag/audit", "Lag", WARNING, f"It is late {HOSTILE}.", "audit"))
        moving.advance(60)
        health.report(connection, SOURCE.id, Condition("missed/audit", "EventsMissed", WARNING, "Missed one.", "audit"))


def rows(viewer: ConsoleClient, query: str = "") -> str:
    return shown_text(viewer.page(f"/health{query}")).split("What ended it")[-1]


def test_without_events_all_is_well(viewer: ConsoleClient, store: Engine) -> None:
    text = shown_text(viewer.page("/health"))
    assert "Nothing is wrong now." in text
    assert "There is no health event that matches." in text


@pytest.mark.usefixtures("reported_health")
def test_each_event_has_its_hint_and_what_ended_it(viewer: ConsoleClient) -> None:
    text = rows(viewer)
    assert "The token is rejected. Renew it. The token works again." in text
    assert "after 10 min" in text
    assert "EventsMissed 1Pass audit Missed one. reported once" in text
    assert f'href="/console/sources/{SOURCE.id}"' in viewer.page("/health")


@pytest.mark.usefixtures("reported_health")
def test_what_is_open_stands_first(viewer: ConsoleClient) -> None:
    assert "Open now Source Level Event Since" in shown_text(viewer.page("/health"))
    assert "still open" in rows(viewer)


@pytest.mark.usefixtures("reported_health")
@pytest.mark.parametrize(
    ("query", "there", "gone"),
    [
        ("?severity=Error", "ThirdPartyConfigError", "Lag"),
        ("?severity=Warning", "Lag", "ThirdPartyConfigError"),
        ("?state=open", "Lag", "EventsMissed"),
        ("?state=ended", "ThirdPartyConfigError", "Lag"),
        ("?state=once", "EventsMissed", "Lag"),
        (f"?source={SOURCE.id}", "EventsMissed", "Lag"),
        ("?time=24h", "Lag", "nothing"),
    ],
)
def test_events_are_filtered(viewer: ConsoleClient, query: str, there: str, gone: str) -> None:
    text = rows(viewer, query)
    assert there in text
    assert gone not in text


@pytest.mark.usefixtures("reported_health")
def test_old_events_are_left_out(viewer: ConsoleClient, moving: MovingClock) -> None:
    moving.advance(2 * 86_400)
    viewer = viewer.as_role(Role.VIEWER)
    assert "EventsMissed" not in shown_text(viewer.page("/health?time=24h"))
    assert "EventsMissed" in shown_text(viewer.page("/health?time=all"))
    assert "Open now Source" in shown_text(viewer.page("/health?time=24h"))


@pytest.mark.usefixtures("reported_health")
@pytest.mark.parametrize("query", ["?time=x", "?start=-1", "?start=99999999999999999999", "?source='", "?state=x"])
def test_a_wrong_address_breaks_nothing(viewer: ConsoleClient, query: str) -> None:
    viewer.page(f"/health{query}")


@pytest.mark.usefixtures("reported_health")
def test_texts_of_others_are_harmless(viewer: ConsoleClient) -> None:
    page = viewer.page("/health")
    assert "<script>x" not in page
    assert "\u202e" not in page
    assert "\x1b" not in page
