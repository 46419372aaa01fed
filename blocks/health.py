"""Health events: one small record for each change of a source's health, in the form of the hosted source.

A condition is a state that needs attention, under a tracker (`error/audit`). While it is open with the same value, it
is not reported again. Severity Error: something is not collected. Warning: it is collected, but something is wrong.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self

from whenever import Instant

from blocks import clock
from blocks.errors import join_sentences

if TYPE_CHECKING:
    from blocks.errors import SourceError

Severity = Literal["Error", "Warning"]
Status = Literal["Healthy", "UnHealthy"]

ERROR: Severity = "Error"
WARNING: Severity = "Warning"
HEALTHY: Status = "Healthy"
UNHEALTHY: Status = "UnHealthy"


NOT_RUNNING = "NotRunning"
"""The name of the condition of a source whose runs do not begin or do not work."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A state of a source. `value` distinguishes one change under the same tracker from another."""

    tracker: str
    name: str
    severity: Severity
    description: str
    api: str | None = None
    value: str = ""
    error_type: str | None = None
    error_code: str | None = None
    hint: str | None = None


def error_condition(error: SourceError, severity: Severity, api: str | None = None) -> Condition:
    """The condition of an API in error, or of the whole source if the error concerns it."""
    api = None if error.whole_source else api
    return Condition(
        tracker=tracker_of("error", api),
        name=error.name,
        severity=severity,
        description=error.message,
        api=api,
        value=f"{severity} {error.name}",
        error_type=error.name,
        error_code=error.code or None,
        hint=error.hint or None,
    )


def tracker_of(kind: str, api: str | None = None) -> str:
    return f"{kind}/{api}" if api else kind


@dataclass(frozen=True, slots=True)
class HealthEvent:
    """One change of health. `event_id` is a UUID, `time_ns` is in nanoseconds since 1970."""

    event_id: str
    source_id: str
    source_name: str
    api: str | None
    time_ns: int
    name: str
    severity: str
    status: str
    tracker: str
    description: str
    error_type: str | None = None
    error_code: str | None = None
    hint: str | None = None

    @classmethod
    def from_condition(cls, condition: Condition, source_id: str, source_name: str, *, status: str = UNHEALTHY) -> Self:
        """A new event, now, that reports a condition."""
        return cls(
            event_id=str(uuid.uuid4()),
            source_id=source_id,
            source_name=source_name,
            api=condition.api,
            time_ns=clock.now_ns(),
            name=condition.name,
            severity=condition.severity,
            status=status,
            tracker=condition.tracker,
            description=condition.description,
            error_type=condition.error_type,
            error_code=condition.error_code,
            hint=condition.hint,
        )

    @property
    def sentence(self) -> str:
        """What happened and what to do."""
        return join_sentences(self.description, self.hint)

    def as_json(self) -> dict[str, Any]:
        """The record in the hosted source's form; `resourceIdentity` is the source."""
        details = {
            "trackerId": self.tracker,
            "name": self.name,
            "description": self.description,
            "errorType": self.error_type,
            "errorCode": self.error_code,
            "hint": self.hint,
            "api": self.api,
        }
        return {
            "eventFormatVersion": "1.0",
            "eventId": self.event_id,
            "eventTime": _milliseconds(self.time_ns),
            "eventName": self.name,
            "eventType": "Health-Change",
            "severityLevel": self.severity,
            "status": self.status,
            "subsystem": "Collection",
            "details": {name: value for name, value in details.items() if value is not None},
            "resourceIdentity": {"id": self.source_id, "name": self.source_name, "type": "SourceResource"},
        }


def _milliseconds(ns: int) -> str:
    return Instant.from_timestamp(ns // 10**6, unit="millisecond").format_iso(unit="millisecond")
