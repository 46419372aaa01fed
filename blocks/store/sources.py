"""The sources in the store: their configuration without the token, and the state that they show."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import select, update

from blocks import clock
from blocks.command_line import command_line
from blocks.errors import ThirdPartyConfigError, TokenError
from blocks.health import HEALTHY, WARNING, Condition
from blocks.store import audit_log, health, state_spans
from blocks.store.claim_expiry import CLAIM_NS
from blocks.store.engine import advisory_lock, reading, store_errors, writing
from blocks.store.forwarding import positions
from blocks.store.on_conflict import insert_new
from blocks.store.tables import AuditLogRow, SourceRow, StreamRow, table_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sqlalchemy import Connection, Engine, Row

    from blocks.events_api.models import Api

PURGE = "purge"  # recorded when a purge begins; the record outlives the source, and the source's id is never used again
PURGING = "Purging"
CONFIGURED = (
    "description",
    "category",
    "fields",
    "base_url",
    "apis",
    "api_version",
    "collect_from",
    "lag_after",
    "processing_rules",
)
"""Columns that a person configures and the audit log records."""

_audit_log = table_of(AuditLogRow)
_sources = table_of(SourceRow)
_streams = table_of(StreamRow)


@dataclass(frozen=True, slots=True)
class SourceRecord:
    """What a source's block says, without its token. `id` never changes, `name` may."""

    id: str
    name: str
    description: str | None
    category: str | None
    fields: dict[str, Any]
    base_url: str
    apis: tuple[Api, ...]
    api_version: str
    collect_from: str | None
    fingerprint: str
    lag_after: str | None = None
    token_expires_ns: int | None = None
    processing_rules: dict[str, Any] = field(default_factory=dict)
    """`filters` and `hashAlgorithm`: see `blocks.siem.privacy.processing`."""


def save(engine: Engine, source: SourceRecord, *, revive: bool = False) -> bool:
    """Write a source and a stream for each of its APIs. Returns whether its fingerprint has changed.

    Streams of APIs that it no longer has stay as they are, and so does its name, which only `lifecycle.rename` changes.
    Raises ThirdPartyConfigError if the source was deleted and `revive` is false, or if it is being purged.
    """
    values: dict[str, Any] = {
        "description": source.description,
        "category": source.category,
        "fields": msgspec.json.encode(source.fields).decode(),
        "base_url": source.base_url,
        "apis": msgspec.json.encode(source.apis).decode(),
        "api_version": source.api_version,
        "collect_from": source.collect_from,
        "fingerprint": source.fingerprint,
        "lag_after": source.lag_after,
        "processing_rules": msgspec.json.encode(source.processing_rules).decode(),
        "token_expires_ns": source.token_expires_ns,
    }
    with writing(engine) as connection:
        query = select(_sources).where(_sources.c.id == source.id)
        before = connection.execute(query.with_for_update(key_share=True)).one_or_none()
        _require_not_deleted(connection, source, before, revive=revive)
        if before is None:
            unseen = {"name": source.name, "state": "Pending", "state_message": "", "created_ns": clock.now_ns()}
            insert_new(connection, _sources, {"id": source.id, **unseen, **values})
            _require_own_name(connection, source)
            audit_log.record(connection, "create", source.id, source.name, **_visible(values))
        else:
            now_ns = clock.now_ns()
            revived = {"deleted_ns": None, "paused_ns": None, "due_ns": now_ns, "state": "Pending", "state_message": ""}
            values |= revived if before.deleted_ns is not None else {}
            connection.execute(update(_sources).where(_sources.c.id == source.id).values(values))
            if changes := _changes(before, values):
                audit_log.record(connection, "configure", source.id, before.name, changes=changes)
            if before.processing_rules != values["processing_rules"]:
                # A forwarder that still has the old rules loses its claims, so that it sends nothing more by them.
                positions.restart_source_within(connection, source.id)
        _add_streams(connection, source.id, source.apis)
    return before is not None and before.fingerprint != source.fingerprint


def _visible(values: Mapping[str, Any]) -> dict[str, Any]:
    """What the audit log shows of a configuration; the fingerprint stands for the token."""
    return {name: values[name] for name in CONFIGURED if values[name] is not None}


def _changes(before: Row[Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Each changed member with what it was and is. A change of the token alone shows as stars."""
    changes = {
        name: [getattr(before, name), values[name]] for name in CONFIGURED if getattr(before, name) != values[name]
    }
    if not changes and before.fingerprint != values["fingerprint"]:
        return {"token": ["********", "********"]}
    return changes


def _require_own_name(connection: Connection, source: SourceRecord) -> None:
    """Another process may have created the same source meanwhile; a different source with this name is an error."""
    if connection.execute(select(_sources.c.id).where(_sources.c.name == source.name)).scalar() != source.id:
        raise ThirdPartyConfigError(
            f"There is another source named {source.name!r} in the store.",
            hint="Give this one another name; `onepassword-source list` shows those that are taken.",
            code="name-taken",
        )


def created_ns(engine: Engine, source_id: str) -> int:
    """When the source was created, in ns since 1970: its first read looks back from there."""
    with store_errors(), reading(engine).connect() as connection:
        return int(connection.execute(select(_sources.c.created_ns).where(_sources.c.id == source_id)).scalar_one())


def ids_by_name(engine: Engine) -> dict[str, str]:
    """The ids of all sources, by name."""
    with store_errors(), reading(engine).connect() as connection:
        return {row.name: row.id for row in connection.execute(select(_sources.c.name, _sources.c.id))}


def names_by_id(engine: Engine) -> dict[str, str]:
    """The names of all sources, deleted ones too, by id."""
    return {source_id: name for name, source_id in ids_by_name(engine).items()}


def name_of(engine: Engine, source_id: str) -> str | None:
    """The current name of a source; None if there is none with that id."""
    with store_errors(), reading(engine).connect() as connection:
        name: str | None = connection.scalar(select(_sources.c.name).where(_sources.c.id == source_id))
    return name


def save_state(engine: Engine, source_id: str, state: str, message: str, run_id: str) -> None:
    """Save the state that a run of the source reports. A late report of a run does not revive a deleted source."""
    saving = (
        update(_sources)
        .where(_sources.c.id == source_id, _sources.c.deleted_ns.is_(None))
        .values(state=state, state_ns=clock.now_ns(), state_message=message, run_id=run_id)
    )
    with writing(engine) as connection:
        if connection.execute(saving).rowcount:
            state_spans.record(connection, source_id, state, message, run_id)


@dataclass(frozen=True, slots=True)
class ScopeChanges:
    """How the scopes changed since the previous introspection: those that the token lost, and those that it gained."""

    lost: frozenset[str]
    gained: frozenset[str]


def save_introspection(engine: Engine, source_id: str, scopes: frozenset[str], account: str | None) -> ScopeChanges:
    """Save the scopes and, if introspection returned it, the account; the first account is pinned.

    Raises TokenError if the account is not the pinned one.
    """
    with writing(engine) as connection:
        row = connection.execute(
            update(_sources)
            .where(_sources.c.id == source_id)
            .values(
                scopes=_sources.c.scopes
            )  # a write first: it locks the row, so no other writer comes between the read and the write
            .returning(_sources.c.scopes, _sources.c.account_uuid, _sources.c.name)
        ).one()
        if account and row.account_uuid not in {None, account}:
            raise _account_error(row.name, row.account_uuid, account)
        values = {"scopes": msgspec.json.encode(sorted(scopes)).decode(), "account_uuid": account or row.account_uuid}
        connection.execute(update(_sources).where(_sources.c.id == source_id).values(values))
        changed = _scope_changes(row.scopes, scopes)
        _report_scopes(connection, source_id, changed)
        _report_shared_account(connection, source_id, account)
    return changed


def unpin_account(engine: Engine, source_id: str) -> None:
    """Let the next introspection pin another account. The cursors are dropped, because they are of no use there."""
    with writing(engine) as connection:
        connection.execute(update(_sources).where(_sources.c.id == source_id).values(account_uuid=None, scopes=None))
        no_cursor = {"cursor": None, "cursor_ns": None, "cursor_version": None, "drained_ns": None}
        connection.execute(
            update(_streams).where(_streams.c.source_id == source_id).values(fence=_streams.c.fence + 1, **no_cursor)
        )


def request_stop(engine: Engine, source_id: str) -> int:
    """Request that the source's current runs end after their current page. Returns the time of the request, in ns."""
    now_ns = clock.now_ns()
    with writing(engine) as connection:
        connection.execute(update(_sources).where(_sources.c.id == source_id).values(stop_ns=now_ns))
    return now_ns


def stop_requested(engine: Engine, source_id: str, opened_ns: int) -> bool:
    """Whether a run that was opened at `opened_ns` must end.

    A request dated in the future was made before the clock was set back, so it is not for this run.
    """
    with store_errors(), reading(engine).connect() as connection:
        stop_ns = connection.execute(select(_sources.c.stop_ns).where(_sources.c.id == source_id)).scalar()
    return stop_ns is not None and opened_ns <= stop_ns <= clock.now_ns() + CLAIM_NS


def _require_not_deleted(
    connection: Connection, source: SourceRecord, before: Row[Any] | None, *, revive: bool
) -> None:
    if before is None:
        purged = (_audit_log.c.source_id == source.id) & (_audit_log.c.action == PURGE)
        is_gone = connection.execute(select(_audit_log.c.id).where(purged).limit(1)).scalar() is not None
    else:
        is_gone = before.deleted_ns is not None and not (revive and before.state != PURGING)
    if is_gone:
        raise ThirdPartyConfigError(
            f"Source {source.name!r} was deleted{', and is being purged' if before and revive else ''}.",
            hint=f"Finish it with `{command_line('delete', source.name, options=('--purge',))}`; "
            "then `apply` can create it again."
            if before and revive
            else "`onepassword-source apply FILE` creates it again.",
            code="deleted",
        )


def _account_error(name: str, pinned: str, found: str) -> TokenError:
    return TokenError(
        f"The token is of account {found}, but the events of source {name!r} are those of account {pinned}.",
        hint="Give it a token of that account with `onepassword-source token NAME`; or, if it is to collect from the "
        "other account from now on: `onepassword-source apply FILE --new-account`.",
        code="account",
    )


def _scope_changes(before: str | None, scopes: frozenset[str]) -> ScopeChanges:
    if before is None:
        return ScopeChanges(frozenset(), frozenset())
    known = frozenset(msgspec.json.decode(before, type=list[str]))
    return ScopeChanges(known - scopes, scopes - known)


def _report_scopes(connection: Connection, source_id: str, changed: ScopeChanges) -> None:
    for scope in sorted(changed.lost):
        description = f"The token no longer has the scope {scope}."
        health.report(connection, source_id, Condition(f"scope/{scope}", "ScopeLost", WARNING, description))
    for scope in sorted(changed.gained):
        gained = Condition(f"scope/{scope}", "ScopeGained", WARNING, f"The token now has the scope {scope}.")
        health.report(connection, source_id, gained, status=HEALTHY)


def _report_shared_account(connection: Connection, source_id: str, account: str | None) -> None:
    if not account:
        return
    advisory_lock(connection, f"account/{account}")  # another source may save the same account at this moment
    same = (_sources.c.account_uuid == account) & (_sources.c.id != source_id) & _sources.c.deleted_ns.is_(None)
    others = sorted(connection.scalars(select(_sources.c.name).where(same)))
    if not others:
        health.end(connection, source_id, "shared-account", "No other source collects from its account any more.")
        return
    shared = Condition(
        "shared-account",
        "SharedAccount",
        WARNING,
        f"Its account is collected by {', '.join(others)} too: each keeps every event, and both use one rate limit.",
        value=", ".join(others),
        hint="Unless they are meant to have different APIs, keep one: `onepassword-source delete NAME`.",
    )
    health.begin(connection, source_id, shared)


def _add_streams(connection: Connection, source_id: str, apis: Iterable[Api]) -> None:
    there = set(connection.scalars(select(_streams.c.api).where(_streams.c.source_id == source_id)))
    for api in apis:
        if api not in there:
            insert_new(connection, _streams, {"source_id": source_id, "api": str(api)})
