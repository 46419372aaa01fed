"""Records of sources: `status`, `list`, `apply`, `collect` and the commands that change one source."""

from __future__ import annotations

from typing import Annotated, Any, NotRequired, TypedDict

from msgspec import Meta

from deployments.json_records.forwarding import PairRecord
from deployments.json_records.values import ApiName, Change, Count, ErrorType, Health, Seconds, Severity, Time


class StreamRecord(TypedDict):
    """One API of a source."""

    api: ApiName
    state: str
    events: Count
    pruned: Count
    quarantined: Count
    late: Count
    missed: Count
    changed: Count
    in_future: Count
    newest_event: Time | None
    event_lag_seconds: float | None
    collector_lag_seconds: Seconds | None
    cursor_moved: Time | None
    last_page: Time | None
    last_drained: Time | None
    failing_since: Time | None
    failed_attempts: Count
    last_attempt: Time | None
    next_attempt: Time | None
    error_type: ErrorType | None
    error: str | None


class StreamStatusRecord(StreamRecord):
    """One API of a source, with the events of the last 24 hours."""

    last_hour: Count
    last_24_hours: Count
    hourly: list[Count]


class EventCountsRecord(TypedDict):
    """What `status` adds to the record of an API."""

    last_hour: Count
    last_24_hours: Count
    hourly: list[Count]


class OpenConditionRecord(TypedDict):
    """A condition that is open now."""

    tracker: str
    condition: str
    severity: Severity
    description: str
    hint: str | None
    since: Time


class UnfinishedBackfillRecord(TypedDict):
    """A backfill that is not finished."""

    job: str
    start: Time
    end: Time
    done: float
    running: bool


class StatusRecord(TypedDict):
    """The health and the events of a source."""

    source: str
    source_id: str
    base_url: str
    account_uuid: str | None
    health: Health
    health_since: Time | None
    state: str
    in_error: bool
    state_since: Time | None
    message: str
    flow_run_id: str | None
    stopped_since: Time | None
    backfills: list[UnfinishedBackfillRecord]
    siems: list[PairRecord]
    dropped_fields: list[str]
    open: list[OpenConditionRecord]
    apis: list[StreamStatusRecord]


class SourceRecord(TypedDict):
    """A source in a list."""

    source: str
    source_id: str
    health: Health
    apis: list[ApiName]
    events: Count
    base_url: str
    stopped_since: Time | None
    deleted_at: Time | None


class AppliedSourceRecord(TypedDict):
    """What `apply` did with a source."""

    source: str
    change: Change
    problem: str
    apis: list[ApiName]
    restarted: bool
    stopped: bool
    flow_run_id: str | None
    dropped_fields: list[str]


class CollectRecord(TypedDict):
    """The outcome of a collection. If Ctrl-C stopped it, only the first four members are there."""

    source: str
    state: str
    message: str
    in_error: bool
    source_id: NotRequired[str | None]
    flow_run_id: NotRequired[str | None]
    apis: NotRequired[list[StreamRecord]]


class RestartRecord(TypedDict):
    """The run that `restart` started in `up`. If `up` does not run, it is the outcome of a collection."""

    source: str
    source_id: NotRequired[str | None]
    flow_run_id: NotRequired[str | None]
    state: NotRequired[str]
    message: NotRequired[str]
    in_error: NotRequired[bool]
    apis: NotRequired[list[StreamRecord]]


class TokenRecord(TypedDict):
    """What the new token is for."""

    source: str
    account_uuid: str | None
    scopes: list[str] | None
    flow_run_id: str | None


class StartRecord(TypedDict):
    """A source whose schedule works again."""

    source: str
    source_id: str
    stopped: bool


class StopRecord(TypedDict):
    """A source whose schedule was stopped."""

    source: str
    source_id: str
    stopped: bool
    runs_ended: bool


class RenameRecord(TypedDict):
    """A source's new and old name."""

    source: str
    former_source: str


class DeleteRecord(TypedDict):
    """A source that was deleted, and the events that stay. `purged` is null without `--purge`."""

    source: str
    deleted: bool
    events: Count
    purged: dict[str, Any] | None


class CheckStepRecord(TypedDict):
    """One step of `check`."""

    step: str
    result: str
    description: str
    hint: str | None


class CheckRecord(TypedDict):
    """Everything that a source needs."""

    source: str
    ok: bool
    checks: list[CheckStepRecord]


class SandboxRecord(TypedDict):
    """What a client of the sandbox needs."""

    base_url: str
    token: Annotated[str, Meta(description="A token for all three APIs.")]
