"""Records of health: the events of `health`, and `/healthz`."""

from __future__ import annotations

from typing import Annotated, NotRequired, TypedDict

from msgspec import Meta

from deployments.json_records.values import ApiName, Severity

Milliseconds = Annotated[str, Meta(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z$")]


class HealthDetailsRecord(TypedDict):
    """What changed."""

    trackerId: Annotated[str, Meta(description="What the condition is about, such as `error/audit`.")]
    name: Annotated[str, Meta(description="The same as `eventName`.")]
    description: Annotated[str, Meta(description="What happened.")]
    errorType: NotRequired[Annotated[str, Meta(description="The type of the error, if it is one.")]]
    errorCode: NotRequired[Annotated[str, Meta(description="Short and stable, such as `401` or `timeout`.")]]
    hint: NotRequired[Annotated[str, Meta(description="What to do.")]]
    api: NotRequired[Annotated[ApiName, Meta(description="The API, if it concerns one.")]]


class HealthResourceRecord(TypedDict):
    """The source."""

    id: Annotated[str, Meta(description="The id of the source.")]
    name: Annotated[str, Meta(description="Its name at that time.")]
    type: Annotated[str, Meta(description="Always `SourceResource`.")]


class HealthEventRecord(TypedDict):
    """One change of a source's health, in the form of the hosted source."""

    eventFormatVersion: Annotated[str, Meta(description="Always `1.0`.")]
    eventId: Annotated[str, Meta(description="A UUID.")]
    eventTime: Annotated[Milliseconds, Meta(description="When it changed, in UTC.")]
    eventName: Annotated[str, Meta(description="See the page Health events.")]
    eventType: Annotated[str, Meta(description="Always `Health-Change`.")]
    severityLevel: Annotated[Severity, Meta(description="`Error` or `Warning`.")]
    status: Annotated[str, Meta(description="`UnHealthy`, or `Healthy` if a condition is over.")]
    subsystem: Annotated[str, Meta(description="Always `Collection`.")]
    details: Annotated[HealthDetailsRecord, Meta(description="What changed.")]
    resourceIdentity: Annotated[HealthResourceRecord, Meta(description="The source.")]


class TroubleRecord(TypedDict):
    """What does not work."""

    what: Annotated[str, Meta(description="`server`, `worker`, `store`, `runs`, `disk` or `up`.")]
    text: Annotated[str, Meta(description="What is wrong, in a sentence.")]
    since: NotRequired[Annotated[float, Meta(description="Since when, in seconds since 1970.")]]


class HealthzRecord(TypedDict):
    """The answer of `/healthz`: 200 if healthy, 503 if not. Beyond this machine it has `healthy` alone."""

    healthy: Annotated[bool, Meta(description="True if everything that `up` started works.")]
    troubles: NotRequired[Annotated[list[TroubleRecord], Meta(description="What does not work.")]]
    warnings: NotRequired[Annotated[list[TroubleRecord], Meta(description="What will go wrong, such as `disk`.")]]
    time: NotRequired[Annotated[float | None, Meta(description="The last check, in seconds since 1970.")]]
