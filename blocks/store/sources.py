"""What the store knows of each source: its configuration without the token, and the state that it shows."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import select, update

from blocks import clock
from blocks.command_line import command_line
from blocks.errors import ThirdPartyConfigError, TokenError
from blocks.health import HEALTHY, WARNING, Condition
from blocks.store import health
from blocks.store.claims import LEASE_NS
from blocks.store.engine import advisory_lock, reading, store_errors, writing
from blocks.store.forwarding import positions
from blocks.store.tables import AuditLogRow, SourceRow, StreamRow, table_of
from blocks.store.upsert import insert_new

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Connection, Engine, Row

    from blocks.events_api.models import Api

PURGE = "purge"  # the record of a purge that began; it outlives the source, and its id is never used again
PURGING = "Purging"

_operations = table_of(AuditLogRow)
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
    processing_rules: dict[str, Any] = field(default_factory=dict)
    """`filters` and `hashAlgorithm`: see `blocks.siem.privacy.processing`."""


def new_id() -> str:
    return uuid.uuid4().hex


def save(engine: Engine, source: SourceRecord, *, revive: bool = False) -> bool:
    """Write a source and a stream for each of its APIs. Tells whether its fingerprint has changed.

    Streams of APIs that it no longer has stay as they are, and so does its name: `lifecycle.rename` changes that.
    Raises ThirdPartyConfigError where the source was deleted, unless it is to `revive`; never while it is purged.
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
    }
    with writing(engine) as connection:
        asked = select(_sources).where(_sources.c.id == source.id)
        before = connection.execute(asked.with_for_update(key_share=True)).one_or_none()
        _refuse_deleted(connection, source, before, revive=revive)
        if before is None:
            unseen = {"name": source.name, "state": "Pending", "state_message": "", "created_ns": clock.now_ns()}
            insert_new(connection, _sources, {"id": source.id, **unseen, **values})
            _require_own_name(connection, source)
        else:
            now_ns = clock.now_ns()
            revived = {"deleted_ns": None, "paused_ns": None, "due_ns": now_ns, "state": "Pending", "state_message": ""}
            values |= revived if before.deleted_ns is not None else {}
            connection.execute(update(_sources).where(_sources.c.id == source.id).values(values))
            if before.processing_rules != values["processing_rules"]:
                # What sends by the rules of before loses its claims, so that it sends nothing more by them.
                positions.restart_source_within(connection, source.id)
        _add_streams(connection, source.id, source.apis)
    return before is not None and before.fingerprint != source.fingerprint


def _require_own_name(connection: Connection, source: SourceRecord) -> None:
    """Another process may have made this very source meanwhile; another source of its name is a fault."""
    if connection.execute(select(_sources.c.id).where(_sources.c.name == source.name)).scalar() != source.id:
        raise ThirdPartyConfigError(
            f"There is another source named {source.name!r} in the store.",
            hint="Give this one another name; `onepassword-source list` shows those that are taken.",
            code="name-taken",
        )


def created_ns(engine: Engine, source_id: str) -> int:
    """When the source was first seen, in ns since 1970: its first round reads back from there."""
    with store_errors(), reading(engine).connect() as connection:
        return int(connection.execute(select(_sources.c.created_ns).where(_sources.c.id == source_id)).scalar_one())


def ids_by_name(engine: Engine) -> dict[str, str]:
    """The names of all sources, and their ids."""
    with store_errors(), reading(engine).connect() as connection:
        return {row.name: row.id for row in connection.execute(select(_sources.c.name, _sources.c.id))}


def name_of(engine: Engine, source_id: str) -> str | None:
    """The present name of a source, or None where there is none of that id."""
    with store_errors(), reading(engine).connect() as connection:
        name: str | None = connection.scalar(select(_sources.c.name).where(_sources.c.id == source_id))
    return name


def save_state(engine: Engine, source_id: str, state: str, message: str, run_id: str) -> None:
    """Remember the state that a run of the source shows. The last word of a run cannot bring a deleted one back."""
    with writing(engine) as connection:
        connection.execute(
            update(_sources)
            .where(_sources.c.id == source_id, _sources.c.deleted_ns.is_(None))
            .values(state=state, state_ns=clock.now_ns(), state_message=message, run_id=run_id)
        )


@dataclass(frozen=True, slots=True)
class ScopeChanges:
    """What has changed since the introspection before: scopes that the token no longer has, and those it has now."""

    lost: frozenset[str]
    gained: frozenset[str]


def save_introspection(engine: Engine, source_id: str, scopes: frozenset[str], account: str | None) -> ScopeChanges:
    """Remember scopes and, where it was told, the account, which is pinned when it is told first.

    Raises TokenError where the account is another one than that.
    """
    with writing(engine) as connection:
        row = connection.execute(
            update(_sources)
            .where(_sources.c.id == source_id)
            .values(scopes=_sources.c.scopes)  # a write first: nobody else is between the read and the write
            .returning(_sources.c.scopes, _sources.c.account_uuid, _sources.c.name)
        ).one()
        if account and row.account_uuid not in {None, account}:
            raise _of_another_account(row.name, row.account_uuid, account)
        values = {"scopes": msgspec.json.encode(sorted(scopes)).decode(), "account_uuid": account or row.account_uuid}
        connection.execute(update(_sources).where(_sources.c.id == source_id).values(values))
        changed = _changed(row.scopes, scopes)
        _tell_scopes(connection, source_id, changed)
        _tell_shared(connection, source_id, account)
    return changed


def unpin_account(engine: Engine, source_id: str) -> None:
    """Let the next introspection name another account. Its events are read from a time: no cursor is of use there."""
    with writing(engine) as connection:
        connection.execute(update(_sources).where(_sources.c.id == source_id).values(account_uuid=None, scopes=None))
        anew = {"cursor": None, "cursor_ns": None, "cursor_version": None, "drained_ns": None}
        connection.execute(
            update(_streams).where(_streams.c.source_id == source_id).values(fence=_streams.c.fence + 1, **anew)
        )


def request_stop(engine: Engine, source_id: str) -> int:
    """Ask the runs that have the source now to end after the page in hand. Returns when that was, in ns."""
    now_ns = clock.now_ns()
    with writing(engine) as connection:
        connection.execute(update(_sources).where(_sources.c.id == source_id).values(stop_ns=now_ns))
    return now_ns


def stop_requested(engine: Engine, source_id: str, opened_ns: int) -> bool:
    """Whether a run that was opened then has been asked to end.

    A request of the future was made before the clock was set back, and to runs that were opened before it.
    """
    with store_errors(), reading(engine).connect() as connection:
        stop_ns = connection.execute(select(_sources.c.stop_ns).where(_sources.c.id == source_id)).scalar()
    return stop_ns is not None and opened_ns <= stop_ns <= clock.now_ns() + LEASE_NS


def _refuse_deleted(connection: Connection, source: SourceRecord, before: Row[Any] | None, *, revive: bool) -> None:
    if before is None:
        purged = (_operations.c.source_id == source.id) & (_operations.c.action == PURGE)
        is_gone = connection.execute(select(_operations.c.id).where(purged).limit(1)).scalar() is not None
    else:
        is_gone = before.deleted_ns is not None and not (revive and before.state != PURGING)
    if is_gone:
        raise ThirdPartyConfigError(
            f"Source {source.name!r} was deleted{', and is being purged' if before and revive else ''}.",
            hint=f"Finish it with `{command_line('delete', source.name, options=('--purge',))}`; "
            "then `apply` can create it again."
            if before and revive
            else "`onepassword-source apply FILE` makes it anew.",
            code="deleted",
        )


def _of_another_account(name: str, pinned: str, found: str) -> TokenError:
    return TokenError(
        f"The token is of account {found}, but the events of source {name!r} are those of account {pinned}.",
        hint="Give it a token of that account with `onepassword-source token NAME`; or, if it is to collect from the "
        "other account from now on: `onepassword-source apply FILE --new-account`.",
        code="account",
    )


def _changed(before: str | None, scopes: frozenset[str]) -> ScopeChanges:
    if before is None:
        return ScopeChanges(frozenset(), frozenset())
    known = frozenset(msgspec.json.decode(before, type=list[str]))
    return ScopeChanges(known - scopes, scopes - known)


def _tell_scopes(connection: Connection, source_id: str, changed: ScopeChanges) -> None:
    for scope in sorted(changed.lost):
        description = f"The token no longer has the scope {scope}."
        health.report(connection, source_id, Condition(f"scope/{scope}", "ScopeLost", WARNING, description))
    for scope in sorted(changed.gained):
        gained = Condition(f"scope/{scope}", "ScopeGained", WARNING, f"The token now has the scope {scope}.")
        health.report(connection, source_id, gained, status=HEALTHY)


def _tell_shared(connection: Connection, source_id: str, account: str | None) -> None:
    if not account:
        return
    advisory_lock(connection, f"account/{account}")  # another source may be told the same at this moment
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
