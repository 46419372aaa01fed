"""The rows of the health log: each event with what ended it."""

from __future__ import annotations

from blocks.health import HealthEvent
from blocks.store.health_log import LoggedHealthEvent
from deployments.console.health_rows import health_rows


def logged(number: int, tracker: str, status: str, *, is_open: bool = False) -> LoggedHealthEvent:
    event = HealthEvent(f"E{number}", "S", "1Pass", None, number, "Lag", "Warning", status, tracker, f"text {number}")
    return LoggedHealthEvent(number, event, is_open)


def test_each_health_event_has_what_ended_it() -> None:
    rows = health_rows(
        [
            logged(1, "a", "UnHealthy"),
            logged(2, "b", "UnHealthy"),
            logged(3, "a", "Healthy"),
            logged(4, "a", "UnHealthy", is_open=True),
            logged(5, "c", "UnHealthy"),
        ]
    )
    assert [(row.id, row.state, row.ended.description if row.ended else "") for row in rows] == [
        (5, "once", ""),
        (4, "open", ""),
        (2, "once", ""),
        (1, "ended", "text 3"),
    ]
