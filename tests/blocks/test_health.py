"""A health event says what a condition says, in the form of the hosted source, and leaves out what is not known."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

import pytest
from support.moving_clock import START_NS

from blocks.errors import FirstPartyGenericError, SourceError, ThirdPartyConfigError, TokenError
from blocks.health import ERROR, HEALTHY, WARNING, Condition, HealthEvent, error_condition, tracker_of

if TYPE_CHECKING:
    from support.moving_clock import MovingClock

LAG = Condition("lag/audit", "Lag", WARNING, "It is late.", api="audit", value="x", hint="Wait.")


@pytest.mark.parametrize(
    ("api", "tracker"), [("audit", "error/audit"), (None, "error"), ("", "error")], ids=["API", "none", "empty"]
)
def test_a_tracker_names_its_kind_and_its_api(api: str | None, tracker: str) -> None:
    assert tracker_of("error", api) == tracker


def test_the_condition_of_an_api_in_error() -> None:
    error = ThirdPartyConfigError("It is refused.", hint="Change it.", code="403")
    assert error_condition(error, WARNING, "audit") == Condition(
        tracker="error/audit",
        name="ThirdPartyConfigError",
        severity="Warning",
        description="It is refused.",
        api="audit",
        value="Warning ThirdPartyConfigError",
        error_type="ThirdPartyConfigError",
        error_code="403",
        hint="Change it.",
    )


@pytest.mark.parametrize("error", [TokenError("It is refused."), FirstPartyGenericError("It is full.")])
def test_an_error_of_the_whole_source_is_of_no_api(error: SourceError) -> None:
    condition = error_condition(error, ERROR, "audit")
    assert (condition.tracker, condition.api) == ("error", None)
    assert (condition.error_code, condition.hint) == (None, None), "an empty text is none"


def test_an_event_has_what_the_condition_has_and_is_dated_now(moving: MovingClock) -> None:
    event, other = (HealthEvent.from_condition(LAG, "id", "1Pass") for _ in range(2))
    assert UUID(event.event_id) != UUID(other.event_id)
    assert event == HealthEvent(
        event_id=event.event_id,
        source_id="id",
        source_name="1Pass",
        api="audit",
        time_ns=START_NS,
        name="Lag",
        severity="Warning",
        status="UnHealthy",
        tracker="lag/audit",
        description="It is late.",
        hint="Wait.",
    )
    assert HealthEvent.from_condition(LAG, "id", "1Pass", status=HEALTHY).status == "Healthy"


def test_an_event_says_what_happened_and_what_to_do(moving: MovingClock) -> None:
    assert HealthEvent.from_condition(LAG, "id", "1Pass").sentence == "It is late. Wait."
    without = Condition("lag", "Lag", WARNING, "It is late.")
    assert HealthEvent.from_condition(without, "id", "1Pass").sentence == "It is late."


def test_an_event_of_an_error_has_the_form_of_the_hosted_source(moving: MovingClock) -> None:
    moving.advance(0.0129)
    condition = error_condition(ThirdPartyConfigError("It is refused.", hint="Change it.", code="403"), ERROR, "audit")
    shown = HealthEvent.from_condition(condition, "id", "1Pass").as_json()
    assert len(shown.pop("eventId")) == 36
    assert shown == {
        "eventFormatVersion": "1.0",
        "eventTime": "2026-09-21T14:13:20.012Z",
        "eventName": "ThirdPartyConfigError",
        "eventType": "Health-Change",
        "severityLevel": "Error",
        "status": "UnHealthy",
        "subsystem": "Collection",
        "details": {
            "trackerId": "error/audit",
            "name": "ThirdPartyConfigError",
            "description": "It is refused.",
            "errorType": "ThirdPartyConfigError",
            "errorCode": "403",
            "hint": "Change it.",
            "api": "audit",
        },
        "resourceIdentity": {"id": "id", "name": "1Pass", "type": "SourceResource"},
    }


def test_details_that_are_not_known_are_left_out(moving: MovingClock) -> None:
    condition = Condition("lag", "Lag", WARNING, "")
    shown = HealthEvent.from_condition(condition, "id", "1Pass", status=HEALTHY).as_json()
    assert shown["details"] == {"trackerId": "lag", "name": "Lag", "description": ""}
    assert (shown["status"], shown["severityLevel"]) == ("Healthy", "Warning")
