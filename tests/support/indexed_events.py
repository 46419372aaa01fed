"""Events of all three APIs in a store, committed page by page, for tests of search."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import text
from support.values import SOURCE

from blocks.events_api.models import Api, Event, Page
from blocks.store import pages, sources, streams
from blocks.store.search.indexer import index_batch

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from blocks.store.sources import SourceRecord
    from blocks.store.streams import StreamClaim

NOON_NS = 1_700_049_600 * 10**9  # 2023-11-15T12:00Z
HOUR_NS, DAY_NS = 3600 * 10**9, 86_400 * 10**9
CLIENT = {"app_name": "1Password for Mac", "app_version": "81112305", "os_name": "MacOSX", "ip_address": "192.0.2.1"}
ANA = {"uuid": "ANA", "name": "Ana Test", "email": "ana@example.org"}
BO = {"uuid": "BO", "name": "Bo Test", "email": "bo@example.org"}


@dataclass
class CollectedEvents:
    """A source; events can be committed to its streams, each under its own claim."""

    engine: Engine
    source: SourceRecord = SOURCE
    cursors: dict[Api, int] = field(default_factory=dict)
    _claims: dict[Api, StreamClaim] = field(default_factory=dict)

    def __post_init__(self) -> None:
        sources.save(self.engine, self.source)
        for view in streams.of_source(self.engine, self.source.id, tuple(Api)):
            claim = streams.acquire(self.engine, view, "run-1")
            assert claim
            self._claims[view.api], self.cursors[view.api] = claim, 0

    def stream_id(self, api: Api) -> int:
        return self._claims[api].stream_id

    def add(self, api: Api, *events: Event) -> None:
        number = self.cursors[api]
        page = Page(f"c{number + 1}", has_more=False, events=list(events), invalid_items=[])
        after = f"c{number}" if number else None
        pages.commit_page(self.engine, self._claims[api], page, after=after, api_version="v2")
        self.cursors[api] = number + 1

    def sign_in(self, uuid: str, time_ns: int = NOON_NS, **members: Any) -> None:
        body = {"category": "success", "type": "credentials_ok", "country": "NZ", "target_user": ANA, "client": CLIENT}
        self.add(Api.SIGN_IN, event(uuid, time_ns, body | members))

    def item_usage(self, uuid: str, time_ns: int = NOON_NS, **members: Any) -> None:
        body = {"action": "reveal", "vault_uuid": "vault1", "item_uuid": "item1", "user": ANA, "client": CLIENT}
        self.add(Api.ITEM_USAGE, event(uuid, time_ns, body | members))

    def audit(self, uuid: str, time_ns: int = NOON_NS, **members: Any) -> None:
        body = {
            "actor_uuid": "ANA",
            "actor_details": ANA,
            "action": "grant",
            "object_type": "uva",
            "object_uuid": "vault1",
            "aux_uuid": "BO",
            "aux_details": BO,
            "session": {"ip": "192.0.2.1"},
        }
        self.add(Api.AUDIT, event(uuid, time_ns, body | members))


def event(uuid: str, time_ns: int, body: dict[str, Any] | str) -> Event:
    return Event(uuid, time_ns, body if isinstance(body, str) else json.dumps({"uuid": uuid, **body}))


def index_all(engine: Engine, size: int = 1000) -> int:
    """Index until nothing is left. Returns how many events were added."""
    added = 0
    while (number := index_batch(engine, size)) is not None:
        added += number
    return added


def indexed(engine: Engine) -> list[dict[str, Any]]:
    """The rows of the index by time, with values in place of their ids, read without the code under test."""
    with engine.connect() as connection:
        values = {row.id: row.value for row in connection.execute(text("SELECT id, value FROM index_values"))}
        query = (
            "SELECT i.*, e.uuid FROM event_index i JOIN events e ON e.id = i.event_id ORDER BY i.time_ns, i.event_id"
        )
        rows = [dict(row) for row in connection.execute(text(query)).mappings()]
    return [
        {
            name.removesuffix("_id"): values[value] if name in _NUMBERS and value else value
            for name, value in row.items()
        }
        for row in rows
    ]


_NUMBERS = {
    f"{name}_id"
    for name in ("user", "action", "type", "ip", "country", "client", "version", "os", "vault", "item", "object", "aux")
}


def strings(engine: Engine) -> set[str]:
    """Every text in the tables of the index."""
    with engine.connect() as connection:
        query = "SELECT value FROM index_values UNION SELECT name FROM user_names UNION SELECT email FROM user_names"
        return {row[0] for row in connection.execute(text(query)) if row[0] is not None}


def counted(engine: Engine) -> dict[str, int]:
    """The number of rows in each table of the index."""
    tables = ("event_index", "index_values", "user_names", "index_positions")
    with engine.connect() as connection:
        return {name: connection.execute(text(f"SELECT count(*) FROM {name}")).scalar_one() for name in tables}
