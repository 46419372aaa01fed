"""The tables of the store, one model for each.

Times are 64-bit nanoseconds since 1970 in UTC, so that all nine digits of an event's time stay. Where a table has few
rows (sources, pairs, jobs, fields), code reads and writes the models; where it has many, it uses SQLAlchemy Core with
`table_of(Model)`. A new table or column needs a migration in `migrations/versions`; the views are in `views.sql`.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Identity,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlmodel import Field, SQLModel

_GIVEN = {"autoincrement": False}
_CLAIMED = text("holder_process IS NOT NULL")


def _by_member(column: str, *, partial: bool = False) -> Index:
    """An index on a member of events. The day leads, so that the events of today change few of its pages."""
    where = text(f"{column} IS NOT NULL") if partial else None
    return Index(
        f"event_index_by_{column.removesuffix('_id')}",
        "day",
        column,
        "time_ns",
        sqlite_where=where,
        postgresql_where=where,
        postgresql_include=["event_id"],  # SQLite appends its row id itself
    )


def table_of(model: type[SQLModel]) -> Table:
    """The table that a model describes, for SQLAlchemy Core."""
    return SQLModel.metadata.tables[str(model.__tablename__)]


def _counter(description: str | None = None) -> Any:
    return Field(default=0, sa_type=BigInteger, sa_column_kwargs={"server_default": "0"}, description=description)


def _ns(description: str | None = None) -> Any:
    return Field(default=None, sa_type=BigInteger, description=description)


_ID = BigInteger().with_variant(Integer(), "sqlite")  # only an INTEGER is SQLite's own row id


def _id() -> Column[int]:
    # 64 bits on both databases (SQLModel's own would be a 32-bit SERIAL), and never used twice on SQLite either.
    return Column("id", _ID, Identity(), primary_key=True)


def _value(description: str | None = None) -> Any:
    return Field(default=None, sa_type=Integer, description=description)


class ClaimColumns(SQLModel):
    """The columns of a claim, in every table that has claims (see `claims`)."""

    holder: str | None = Field(default=None, description="the run that has the claim")
    holder_process: str | None = Field(default=None, sa_type=Text, description="its process, and the machine of that")
    claimed_ns: int | None = _ns("when the claim was acquired")
    claim_renewed_ns: int | None = _ns("when it was last renewed")
    claim_expires_ns: int | None = _ns()
    fence: int = _counter("rises with each claim; a claim with a lower fence cannot write")


class FailureColumns(SQLModel):
    """The columns of a failure, in every table whose rows can fail (see `streams.NO_ERROR`)."""

    failing_since_ns: int | None = _ns()
    failed_attempts: int = _counter("in a row, since failing_since_ns")
    error_type: str | None = None
    error_code: str | None = None
    error_message: str | None = None
    error_ns: int | None = _ns("when the error was last seen")
    stopped_fingerprint: str | None = Field(
        default=None, description="no request is made while the source, or the SIEM, still has this fingerprint"
    )


class SourceRow(SQLModel, table=True):
    """One configured 1Password account. Its token is not here: it lives in the encrypted block alone."""

    __tablename__ = "sources"

    id: str = Field(primary_key=True, description="immutable; the name may change")
    name: str = Field(unique=True)
    description: str | None = None
    category: str | None = None
    fields: str = Field(default="{}", description="JSON map")
    base_url: str
    apis: str = Field(description="JSON list of sign-in, itemUsage, audit")
    api_version: str
    collect_from: str | None = None
    fingerprint: str = Field(description="digest of what matters for requests, the token included")
    account_uuid: str | None = Field(default=None, description="pinned when introspection or the token first named it")
    scopes: str | None = Field(default=None, description="JSON list, from the last introspection")
    state: str = Field(default="Pending", description="the state that a run reported last")
    state_ns: int | None = _ns()
    state_message: str = Field(default="")
    run_id: str | None = Field(default=None, description="the flow run that last reported a state")
    created_ns: int = Field(sa_type=BigInteger)
    paused_ns: int | None = _ns("its schedule was paused then")
    stop_ns: int | None = _ns("runs opened before end after their page")
    deleted_ns: int | None = _ns("deleted then; its events stay")
    due_ns: int | None = _ns("runs are due since then; if null, since created_ns")
    token_expires_ns: int | None = _ns("when the token says that it expires")
    lag_after: str | None = Field(default=None, description="how late an API may be; see `alert_thresholds.lag_ns`")
    processing_rules: str = Field(
        default="{}",
        sa_type=Text,
        sa_column_kwargs={"server_default": "{}"},
        description="JSON map of its processing rules; see `blocks.siem.privacy.processing`",
    )


class StateSpanRow(SQLModel, table=True):
    """Runs of a source in a row that ended in one state (see `state_spans`)."""

    __tablename__ = "state_spans"
    __table_args__ = (Index("state_spans_of_source", "source_id", "end_ns"), {"sqlite_autoincrement": True})

    id: int | None = Field(default=None, sa_column=_id())
    source_id: str
    start_ns: int = Field(sa_type=BigInteger, description="the end of the first run")
    end_ns: int = Field(sa_type=BigInteger, description="the end of the last run")
    state: str
    message: str = Field(sa_type=Text, description="of the last run")
    runs: int = Field(sa_type=BigInteger)
    first_run_id: str
    last_run_id: str


class StreamRow(ClaimColumns, FailureColumns, table=True):
    """One source and one API: the cursor, the claim on it, the error, and what it holds."""

    __tablename__ = "streams"
    __table_args__ = (UniqueConstraint("source_id", "api"),)

    id: int | None = Field(default=None, primary_key=True)
    source_id: str = Field(foreign_key="sources.id")
    api: str

    cursor: str | None = Field(default=None, sa_type=Text)
    cursor_ns: int | None = _ns("when the cursor moved last")
    cursor_version: str | None = Field(default=None, description="the API version that the cursor belongs to")
    cursor_dropped_ns: int | None = _ns("when it was dropped after a 400")

    events: int = _counter()
    quarantined: int = _counter()
    newest_ns: int | None = _ns("time of the newest event")
    progress_ns: int | None = _ns("last committed page")
    drained_ns: int | None = _ns("start of the last complete drain")

    lag_ns: int | None = _ns("event lag, in nanoseconds; see `streams.DrainStats`")
    quiet_ns: int | None = _ns("longest time between events lately")
    quiet_at_ns: int | None = _ns("when that was seen")
    pruned: int = _counter("events removed because of their age")

    read_from_ns: int | None = _ns("where the cursor's first request began")
    link: int = _counter("number of the newest link of the chain")
    link_digest: bytes | None = Field(default=None, sa_type=LargeBinary)
    link_id: int | None = _ns("the last event of the newest link")
    undecided: int = _counter("found by reconcile, neither late nor missed yet")
    late: int = _counter("found by reconcile, brought by the cursor later")
    missed: int = _counter("found by reconcile, never brought by the cursor")
    changed: int = _counter("bodies that the server changed later")

    recovered_ns: int | None = _ns()


class EventRow(SQLModel, table=True):
    """One event, once."""

    __tablename__ = "events"
    __table_args__ = (
        UniqueConstraint("stream_id", "uuid"),
        Index("events_by_time", "stream_id", "time_ns"),
        {"sqlite_autoincrement": True},
    )

    id: int | None = Field(default=None, sa_column=_id())
    stream_id: int = Field(sa_type=Integer)
    uuid: str = Field(sa_type=Text)
    time_ns: int = Field(sa_type=BigInteger)
    received_ns: int = Field(sa_type=BigInteger)
    body: str = Field(sa_type=Text, description="exactly as the server sent it")


class LegibleBodyRow(SQLModel, table=True):
    """A body for the views, of an event whose own body a database cannot show; there are few (see `insert`)."""

    __tablename__ = "legible_bodies"

    stream_id: int = Field(primary_key=True, sa_type=Integer, sa_column_kwargs=_GIVEN)
    uuid: str = Field(primary_key=True, sa_type=Text)
    body: str = Field(sa_type=Text)


class QuarantinedItemRow(SQLModel, table=True):
    """An item that cannot be stored as an event, byte for byte, and why."""

    __tablename__ = "quarantine"
    __table_args__ = (UniqueConstraint("stream_id", "digest"), {"sqlite_autoincrement": True})

    id: int | None = Field(default=None, sa_column=_id())
    stream_id: int = Field(sa_type=Integer)
    received_ns: int = Field(sa_type=BigInteger)
    reason: str
    digest: bytes = Field(sa_type=LargeBinary, description="SHA-256 of the body")
    body: bytes = Field(sa_type=LargeBinary)


class HealthEventRow(SQLModel, table=True):
    """A change of a source's health. It stays when the source is deleted."""

    __tablename__ = "health_events"
    __table_args__ = (
        Index("health_events_of_source", "source_id", "id"),
        Index("health_events_to_publish", "published_ns"),
        {"sqlite_autoincrement": True},
    )

    id: int | None = Field(default=None, sa_column=_id())
    event_id: str = Field(description="a UUID")
    source_id: str
    source_name: str = Field(description="as it was then")
    api: str | None = None
    time_ns: int = Field(sa_type=BigInteger)
    name: str = Field(description="the `eventName`; see `blocks.health`")
    severity: str = Field(description="Error or Warning")
    status: str = Field(description="Healthy or UnHealthy")
    tracker: str = Field(description="what changed, such as error/audit")
    description: str
    error_type: str | None = None
    error_code: str | None = None
    hint: str | None = None
    published_ns: int | None = _ns("when it was published to Prefect")


class ConditionRow(SQLModel, table=True):
    """A condition that is open now. It is stored so that a change makes one health event, not one for each run."""

    __tablename__ = "conditions"

    source_id: str = Field(primary_key=True)
    tracker: str = Field(primary_key=True)
    value: str = Field(description="another value is another change")
    name: str
    severity: str
    description: str
    since_ns: int = Field(sa_type=BigInteger)


class UndocumentedValueRow(SQLModel, table=True):
    """A member or a value that the documentation of the API does not know, seen at least once."""

    __tablename__ = "undocumented_values"

    stream_id: int = Field(primary_key=True, sa_type=Integer, sa_column_kwargs=_GIVEN)
    kind: str = Field(primary_key=True, description="member or value")
    path: str = Field(primary_key=True)
    value: str = Field(primary_key=True)
    seen_ns: int = Field(sa_type=BigInteger, description="when it first came")


class FieldRow(SQLModel, table=True):
    """A field that sources may give their events, enabled or not."""

    __tablename__ = "fields"

    name: str = Field(primary_key=True)
    enabled: bool = Field(sa_type=Boolean)
    created_ns: int = Field(sa_type=BigInteger)


class AuditLogRow(SQLModel, table=True):
    """What a person or a schedule did to the store, for audits: each change, deletion, purge, and batch of a prune."""

    __tablename__ = "audit_log"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: int | None = Field(default=None, sa_column=_id())
    time_ns: int = Field(sa_type=BigInteger)
    actor: str = Field(description="user@host")
    action: str = Field(description="delete, purge, prune, rename, token, …")
    source_id: str
    source_name: str = Field(description="as it was then")
    details: str = Field(description="JSON map")


class PrunedEventRow(SQLModel, table=True):
    """What remains of an event that was removed because of its age."""

    __tablename__ = "pruned_events"
    __table_args__ = (Index("pruned_events_by_id", "stream_id", "event_id"),)

    stream_id: int = Field(primary_key=True, sa_type=Integer, sa_column_kwargs=_GIVEN)
    uuid: str = Field(primary_key=True, sa_type=Text)
    event_id: int | None = _ns("the id that the event had")
    time_ns: int = Field(sa_type=BigInteger)
    received_ns: int = Field(sa_type=BigInteger)
    digest: bytes = Field(sa_type=LargeBinary, description="SHA-256 of the body")


class ChainLinkRow(SQLModel, table=True):
    """A link of a stream's hash chain: one committed page with new events (see `chain`)."""

    __tablename__ = "chain"
    __table_args__ = (Index("chain_by_id", "stream_id", "last_id"),)

    stream_id: int = Field(primary_key=True, sa_type=Integer, sa_column_kwargs=_GIVEN)
    number: int = Field(primary_key=True, sa_type=BigInteger, sa_column_kwargs=_GIVEN, description="from 1")
    first_id: int = Field(sa_type=BigInteger)
    last_id: int = Field(sa_type=BigInteger)
    events: int = Field(sa_type=BigInteger)
    api_version: str
    committed_ns: int = Field(sa_type=BigInteger)
    digest: bytes = Field(sa_type=LargeBinary, description="of its events and of the digest of the link before")


class HourlyCountRow(SQLModel, table=True):
    """How many events of a stream have their time in one hour."""

    __tablename__ = "hourly_counts"

    stream_id: int = Field(primary_key=True, sa_type=Integer, sa_column_kwargs=_GIVEN)
    hour: int = Field(primary_key=True, sa_type=BigInteger, sa_column_kwargs=_GIVEN, description="since 1970")
    events: int = Field(sa_type=BigInteger)


class CollectedSpanRow(SQLModel, table=True):
    """A span of time that live collection has read completely, from `start_ns` to before `end_ns`."""

    __tablename__ = "collected_spans"
    __table_args__ = (Index("collected_spans_of_stream", "stream_id", "end_ns"), {"sqlite_autoincrement": True})

    id: int | None = Field(default=None, sa_column=_id())
    stream_id: int = Field(sa_type=Integer)
    start_ns: int = Field(sa_type=BigInteger)
    end_ns: int = Field(sa_type=BigInteger)


class LateOrMissedRow(SQLModel, table=True):
    """An event that reconcile found at the server and not in the store."""

    __tablename__ = "late_or_missed"
    __table_args__ = (Index("late_or_missed_undecided", "stream_id", "decided_ns"),)

    stream_id: int = Field(primary_key=True, sa_type=Integer, sa_column_kwargs=_GIVEN)
    uuid: str = Field(primary_key=True, sa_type=Text)
    time_ns: int = Field(sa_type=BigInteger)
    found_ns: int = Field(sa_type=BigInteger)
    fence: int = Field(
        sa_type=BigInteger, description="the stream's fence at that time: a claim with a higher one began later"
    )
    verdict: str | None = Field(default=None, description="late or missed")
    decided_ns: int | None = _ns()


class ChangedBodyRow(SQLModel, table=True):
    """Another body that the server sent later, to any run, under the uuid of a stored event, which stays as it was."""

    __tablename__ = "changed_bodies"
    __table_args__ = (UniqueConstraint("stream_id", "uuid", "digest"), {"sqlite_autoincrement": True})

    id: int | None = Field(default=None, sa_column=_id())
    stream_id: int = Field(sa_type=Integer)
    uuid: str = Field(sa_type=Text)
    received_ns: int = Field(sa_type=BigInteger)
    api_version: str
    digest: bytes = Field(sa_type=LargeBinary, description="SHA-256 of the body")
    body: str = Field(sa_type=Text, description="exactly as the server sent it")


class PairRow(SQLModel, table=True):
    """A source and a SIEM, or an archive, that its events are forwarded to. Its secrets are in its block alone."""

    __tablename__ = "pairs"
    __table_args__ = (UniqueConstraint("source_id", "siem"),)

    id: str = Field(primary_key=True)
    source_id: str
    siem: str = Field(description="the name of the SIEM")
    kind: str = Field(description="splunk, syslog, …; see `blocks.siem.configuration`")
    config: str = Field(sa_type=Text, description="JSON map: its block without the secrets")
    fingerprint: str = Field(description="digest of what matters for what is sent, secrets included")
    created_ns: int = Field(sa_type=BigInteger)
    paused_ns: int | None = _ns("paused by a person then")


class PositionRow(ClaimColumns, FailureColumns, table=True):
    """The last event of a stream that a pair's SIEM acknowledged. Later events are never pruned."""

    __tablename__ = "positions"

    pair_id: str = Field(primary_key=True)
    stream_id: int = Field(primary_key=True, sa_type=Integer, sa_column_kwargs=_GIVEN)
    acknowledged_id: int = Field(sa_type=BigInteger)
    in_flight: str | None = Field(
        default=None, sa_type=Text, description="JSON: the batches that are being sent; see `positions`"
    )
    replays: int = _counter("how often it was set to another event")

    sent: int = _counter()
    filtered: int = _counter("not sent because of the pair's rules")
    rejected: int = _counter("rejected by the SIEM, and not accepted since")
    progress_ns: int | None = _ns("when the SIEM last acknowledged")

    unconfirmed: int = _counter("failed attempts that the SIEM did not confirm")


class RejectedEventRow(SQLModel, table=True):
    """An event that a SIEM rejected, and its answer."""

    __tablename__ = "rejected_events"

    pair_id: str = Field(primary_key=True)
    stream_id: int = Field(primary_key=True, sa_type=Integer, sa_column_kwargs=_GIVEN)
    event_id: int = Field(primary_key=True, sa_type=BigInteger, sa_column_kwargs=_GIVEN)
    uuid: str = Field(sa_type=Text)
    rejected_ns: int = Field(sa_type=BigInteger)
    code: str
    answer: str = Field(sa_type=Text)
    replay_ns: int | None = _ns("when a replay was requested")


class RateLimitRow(SQLModel, table=True):
    """The requests granted from an account's rate-limit windows (see `blocks.events_api.rate_limit`)."""

    __tablename__ = "rate_limits"

    key: str = Field(primary_key=True, description="the account, or the source where no account is known")
    spent: str = Field(sa_type=Text, description="JSON: by window, by cell")
    grants: int = Field(sa_type=BigInteger, description="how often the row was locked")
    paused_until_ns: int | None = _ns("after a 429: no request until then")


class JobRow(SQLModel, table=True):
    """A span of time that is read again, in windows."""

    __tablename__ = "jobs"
    __table_args__ = (Index("jobs_of_source", "source_id", "created_ns"),)

    id: str = Field(primary_key=True)
    kind: str = Field(description="backfill or reconcile")
    source_id: str
    start_ns: int = Field(sa_type=BigInteger)
    end_ns: int = Field(sa_type=BigInteger)
    apis: str = Field(description="JSON list")
    created_ns: int = Field(sa_type=BigInteger)
    finished_ns: int | None = _ns("when its last window was done")
    paused_ns: int | None = _ns("paused by a person then")


class WindowRow(ClaimColumns, table=True):
    """A part of a job: one stream from `start_ns` to before `end_ns`, with a cursor and a claim of its own."""

    __tablename__ = "windows"
    __table_args__ = (
        Index("windows_of_job", "job_id", "done_ns", "start_ns"),
        # A job has thousands of windows, of which runs read a few.
        Index("windows_claimed", "job_id", sqlite_where=_CLAIMED, postgresql_where=_CLAIMED),
        {"sqlite_autoincrement": True},
    )

    id: int | None = Field(default=None, sa_column=_id())
    job_id: str
    stream_id: int = Field(sa_type=Integer)
    start_ns: int = Field(sa_type=BigInteger)
    end_ns: int = Field(sa_type=BigInteger)

    cursor: str | None = Field(default=None, sa_type=Text)
    cursor_version: str | None = None
    restarts: int = _counter("how often it was restarted after a 400")

    begun_ns: int | None = _ns("time of its first page; until then it may be split")
    done_ns: int | None = _ns()
    pages: int = _counter()
    new: int = _counter()
    known: int = _counter()
    quarantined: int = _counter()
    changed: int = _counter("bodies that differ from the stored ones")
    error: str | None = Field(default=None, description="why reading it was stopped; a resumed job retries it")


class EventIndexRow(SQLModel, table=True):
    """What the console searches an event by: its time, and numbers in `index_values` (see `search`).

    It is filled behind collection.
    """

    __tablename__ = "event_index"
    __table_args__ = (
        Index("event_index_by_time", "time_ns", postgresql_include=["event_id"]),
        _by_member("stream_id"),
        _by_member("user_id"),
        _by_member("ip_id"),
        _by_member("country_id"),
        _by_member("action_id"),
        _by_member("client_id"),
        *(_by_member(name, partial=True) for name in ("type_id", "vault_id", "item_id", "object_id", "aux_id")),
    )

    event_id: int = Field(primary_key=True, sa_type=_ID, sa_column_kwargs=_GIVEN)
    stream_id: int = Field(sa_type=Integer)
    time_ns: int = Field(sa_type=BigInteger)
    day: int = Field(sa_type=Integer, description="of time_ns, since 1970 in UTC")
    late_s: int = Field(sa_type=Integer, description="seconds from the event's time to its receipt; may be negative")
    failed: bool | None = Field(default=None, sa_type=Boolean, description="of a sign-in attempt")
    user_id: int | None = _value("who did it: target_user, user or actor")
    action_id: int | None = _value("action; of a sign-in attempt, its category")
    type_id: int | None = _value("type of a sign-in attempt, object_type of an audit event")
    ip_id: int | None = _value()
    country_id: int | None = _value("two letters, where the event has them")
    client_id: int | None = _value("client.app_name")
    version_id: int | None = _value("client.app_version")
    os_id: int | None = _value("client.os_name")
    vault_id: int | None = _value()
    item_id: int | None = _value()
    object_id: int | None = _value("object_uuid of an audit event")
    aux_id: int | None = _value("aux_uuid of an audit event")


class IndexValueRow(SQLModel, table=True):
    """A value of events, once. It is removed with the last event that has it."""

    __tablename__ = "index_values"
    __table_args__ = (UniqueConstraint("kind", "value"), {"sqlite_autoincrement": True})

    id: int | None = Field(default=None, sa_column=Column("id", Integer, Identity(), primary_key=True))
    kind: int = Field(sa_type=SmallInteger, description="the number of the kind of value; see `search.members.Kind`")
    value: str = Field(sa_type=Text)
    day: int = Field(sa_type=Integer, description="of the newest event that had it when it was indexed")


class UserNameRow(SQLModel, table=True):
    """The name and address of a user, from the newest event that has them."""

    __tablename__ = "user_names"

    user_id: int = Field(primary_key=True, sa_type=Integer, sa_column_kwargs=_GIVEN, description="in index_values")
    name: str | None = Field(default=None, sa_type=Text)
    email: str | None = Field(default=None, sa_type=Text)
    time_ns: int = Field(sa_type=BigInteger, description="time of that event")


class IndexPositionRow(SQLModel, table=True):
    """Up to which event a stream is in `event_index`, and how many of its events are there."""

    __tablename__ = "index_positions"

    stream_id: int = Field(primary_key=True, sa_type=Integer, sa_column_kwargs=_GIVEN)
    event_id: int = Field(sa_type=BigInteger)
    events: int = _counter()


class IndexStateRow(SQLModel, table=True):
    """How the indexer is doing: one row, with the id 1."""

    __tablename__ = "index_state"

    id: int = Field(primary_key=True, sa_type=Integer, sa_column_kwargs=_GIVEN)
    indexed_ns: int | None = _ns("when it last added events")
    error: str | None = Field(default=None, sa_type=Text)
    error_ns: int | None = _ns("when the error was last seen; null if there is none")


class NameRow(SQLModel, table=True):
    """The name of an object, from a file that a person imported (see `names`)."""

    __tablename__ = "names"

    uuid: str = Field(primary_key=True, sa_type=Text)
    kind: str = Field(description="vault, item, user, group, …; see `blocks.config.name_file`")
    name: str = Field(sa_type=Text)
    vault_uuid: str | None = Field(default=None, sa_type=Text, description="of an item")
    email: str | None = Field(default=None, sa_type=Text, description="of a user")
    imported_ns: int = Field(sa_type=BigInteger)


class InsightDayRow(SQLModel, table=True):
    """The counts of a stream's events in one day, for the page Insight: numbers of values, no values.

    They can be made again from the index (see `insight.day_counts`).
    """

    __tablename__ = "insight_days"

    stream_id: int = Field(primary_key=True, sa_type=Integer, sa_column_kwargs=_GIVEN)
    day: int = Field(primary_key=True, sa_type=Integer, sa_column_kwargs=_GIVEN, description="since 1970 in UTC")
    events: int = Field(sa_type=BigInteger, description="how many were counted")
    indexed_id: int = Field(sa_type=BigInteger, description="the stream's position in the index at that time")
    counts: bytes = Field(sa_type=LargeBinary)
