"""What the store knows of each source: its configuration without the token, and the state that it shows."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import insert, select, update

from blocks import clock
from blocks.store.engine import reading, store_errors, writing
from blocks.store.tables import Source, Stream

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Connection, Engine

    from blocks.events_api.models import Api, Introspection

_sources = Source.__table__  # type: ignore[attr-defined]
_streams = Stream.__table__  # type: ignore[attr-defined]


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


def new_id() -> str:
    return uuid.uuid4().hex


def put(engine: Engine, source: SourceRecord) -> bool:
    """Write a source and a stream for each of its APIs. Tells whether its fingerprint has changed.

    Streams of APIs that it no longer has stay as they are.
    """
    values = {
        "name": source.name,
        "description": source.description,
        "category": source.category,
        "fields": msgspec.json.encode(source.fields).decode(),
        "base_url": source.base_url,
        "apis": msgspec.json.encode(source.apis).decode(),
        "api_version": source.api_version,
        "collect_from": source.collect_from,
        "fingerprint": source.fingerprint,
    }
    with writing(engine) as connection:
        before = connection.execute(select(_sources.c.fingerprint).where(_sources.c.id == source.id)).scalar()
        if before is None:
            unseen = {"state": "Pending", "state_message": "", "created_ns": clock.now_ns()}
            connection.execute(insert(_sources).values(id=source.id, **unseen, **values))
        else:
            connection.execute(update(_sources).where(_sources.c.id == source.id).values(values))
        _add_streams(connection, source.id, source.apis)
    return before is not None and before != source.fingerprint


def created_ns(engine: Engine, source_id: str) -> int:
    """When the source was first seen, in ns since 1970: its first round reads back from there."""
    with store_errors(), reading(engine).connect() as connection:
        return int(connection.execute(select(_sources.c.created_ns).where(_sources.c.id == source_id)).scalar_one())


def known(engine: Engine) -> dict[str, str]:
    """The names of all sources, and their ids."""
    with store_errors(), reading(engine).connect() as connection:
        return {row.name: row.id for row in connection.execute(select(_sources.c.name, _sources.c.id))}


def show_state(engine: Engine, source_id: str, state: str, message: str, run_id: str) -> None:
    """Remember the state that a run of the source shows."""
    with writing(engine) as connection:
        connection.execute(
            update(_sources)
            .where(_sources.c.id == source_id)
            .values(state=state, state_ns=clock.now_ns(), state_message=message, run_id=run_id)
        )


def note_introspection(engine: Engine, source_id: str, seen: Introspection) -> None:
    """Remember scopes and, where it was told, the account."""
    values: dict[str, Any] = {"scopes": msgspec.json.encode(sorted(seen.scopes)).decode()}
    if seen.account_uuid:
        values["account_uuid"] = seen.account_uuid
    with writing(engine) as connection:
        connection.execute(update(_sources).where(_sources.c.id == source_id).values(values))


def _add_streams(connection: Connection, source_id: str, apis: Iterable[Api]) -> None:
    there = set(connection.scalars(select(_streams.c.api).where(_streams.c.source_id == source_id)))
    for api in apis:
        if api not in there:
            connection.execute(insert(_streams).values(source_id=source_id, api=str(api)))
