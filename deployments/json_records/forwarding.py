"""Records of SIEMs and of pairs of a source and a SIEM: the group `siem`, and `apply` with SIEMs."""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict

from deployments.json_records.values import ApiName, Change, Count, ErrorType, Time


class PositionRecord(TypedDict):
    """How far a SIEM is with one API of a source."""

    api: ApiName
    state: str
    sent: Count
    filtered: Count
    rejected: Count
    waiting: Count
    oldest_waiting: Time | None
    last_acknowledged: Time | None
    failing_since: Time | None
    failed_attempts: Count
    last_attempt: Time | None
    next_attempt: Time | None
    error_type: ErrorType | None
    error: str | None


class PairRecord(TypedDict):
    """A source and a SIEM that its events are forwarded to."""

    siem: str
    type: str
    source: str
    source_id: str
    state: str
    in_error: bool
    for_siem: bool
    next_file: Time | None
    paused_since: Time | None
    config: dict[str, Any]
    apis: list[PositionRecord]


class PairNameRecord(TypedDict):
    """A pair in a list."""

    siem: str
    type: str
    source: str
    source_id: str
    state: str


class AppliedPairRecord(TypedDict):
    """What `apply` or `siem add` did with one source of a SIEM."""

    source: str
    change: Change


class AppliedSiemRecord(TypedDict):
    """What `apply` or `siem add` did with a SIEM."""

    siem: str
    type: str
    change: Change
    sources: list[AppliedPairRecord]
    sources_left: list[str]
    sources_not_for_siem: list[str]


class SampleRecord(TypedDict):
    """An event as it would be sent, or the rule that filters it."""

    source: str
    api: ApiName
    uuid: str
    withheld: bool
    filtered_by: NotRequired[str]
    record: NotRequired[str]
    group: NotRequired[list[str]]
    redacted: NotRequired[list[str]]


class SiemTestRecord(TypedDict):
    """The test of a SIEM. `answer` is null with `--offline`."""

    siem: str
    answer: str | None
    ok: bool
    events: list[SampleRecord]


class ForwardRunRecord(TypedDict):
    """The outcome of forwarding one source."""

    source: str
    source_id: str
    siem: str
    state: str
    message: str
    in_error: bool


class PausedPairRecord(TypedDict):
    """A pair that was paused or resumed."""

    source: str
    source_id: str
    siem: str
    paused: bool
    change: Change


class ReplayRecord(TypedDict):
    """How many events of a pair are sent again."""

    source: str
    source_id: str
    siem: str
    sent_again: Count


class RejectedEventRecord(TypedDict):
    """An event that a SIEM rejected, and its answer."""

    source: str
    source_id: str
    siem: str
    api: ApiName
    uuid: str
    code: str
    answer: str
    rejected_at: Time


class DiscardedRecord(TypedDict):
    """How many rejected events of a pair were discarded."""

    source: str
    source_id: str
    siem: str
    discarded: Count


class RemovedPairRecord(TypedDict):
    """A pair that was removed."""

    source: str
    source_id: str
    siem: str
    secrets_removed: bool
