"""A large store for `search.py`: the sandbox's events with many users, addresses, vaults and items in them.

The rows are written past the store's code, with settings that no real store has, because only their reading is
measured. Users, vaults and items have frequencies as people have them: a few are in many events.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import TYPE_CHECKING, Any

from sqlalchemy import insert, text

from blocks.events_api.models import Api
from blocks.store import schema, sources
from blocks.store.engine import is_sqlite, open_engine
from blocks.store.hourly_counts import HOUR_NS
from blocks.store.sources import SourceRecord
from blocks.store.tables import HourlyCountRow, table_of
from deployments.sandbox.sample_account import identifier, ip_address
from deployments.sandbox.sample_events import event_time, make_body, random_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Engine

PAGE = 1000
TEMPLATES = 400  # of each API
SECOND, DAY_NS = 10**9, 86_400 * 10**9
LATE_NS = 300 * SECOND  # from an event to its receipt
_TOKEN = re.compile(r"@(\w+)@")
_VAULTS = {"vault", "vaultkey", "uva", "gva", "items", "itemhist"}
SOURCES = tuple(
    SourceRecord(str(n) * 32, f"team-{n}", None, None, {}, "http://127.0.0.1", tuple(Api), "v2", None, "")
    for n in range(4)
)


@dataclass
class Population:
    """Who and what the events are about."""

    random: Random = field(default_factory=lambda: Random(7))  # noqa: S311 - made-up data
    users: list[tuple[str, str, str]] = field(default_factory=list)
    ips: list[str] = field(default_factory=list)
    vaults: list[str] = field(default_factory=list)
    items: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        own = self.random
        self.users = [(identifier(own), f"Person {n}", f"person{n}@example.org") for n in range(5000)]
        self.ips = [ip_address(own) for _ in range(40_000)]
        self.vaults = [identifier(own).lower() for _ in range(2000)]
        self.items = [identifier(own).lower() for _ in range(60_000)]

    def pick(self, values: list[Any]) -> Any:
        return values[int(len(values) * self.random.random() ** 2.5)]


def fill(url: str, events: int, days: int, end_ns: int, progress: Callable[[int], object] = lambda _: None) -> None:
    """Make the tables and write the events, the newest at `end_ns` (ns since 1970)."""
    engine = open_engine(url)
    schema.upgrade(engine)
    for source in SOURCES:
        sources.save(engine, source)
    with engine.connect() as connection:
        streams = [tuple(row) for row in connection.execute(text("SELECT id, api FROM streams ORDER BY id"))]
    write = _write_sqlite if is_sqlite(engine) else _write_postgresql
    write(engine, _pages(streams, events, days * DAY_NS, end_ns, progress))
    engine.dispose()


@dataclass
class _Page:
    stream_id: int
    number: int
    first_id: int
    rows: list[tuple[int, int, str, int, int, str]]


def _pages(
    streams: list[Any], events: int, span_ns: int, end_ns: int, progress: Callable[[int], object]
) -> Iterator[_Page]:
    people, numbers = Population(), Counter[int]()
    templates = {api: [_template(api, number) for number in range(TEMPLATES)] for api in Api}
    step_ns = span_ns // events
    for first in range(0, events, PAGE):
        stream_id, api = people.random.choice(streams)
        numbers[stream_id] += 1
        rows = []
        for number in range(first, min(first + PAGE, events)):
            # The events of the streams overlap in time, as those of pages do.
            time_ns = end_ns - span_ns + int((number + people.random.random() * 12 * PAGE) * step_ns)
            time_ns = min(time_ns, end_ns) // 10**6 * 10**6
            uuid = identifier(people.random)
            body = _body(people.random.choice(templates[Api(api)]), people, uuid, time_ns)
            rows.append((number + 1, stream_id, uuid, time_ns, time_ns + LATE_NS, body))
        progress(first + len(rows))
        yield _Page(stream_id, numbers[stream_id], first + 1, rows)


def _template(api: Api, number: int) -> list[str]:
    random = random_for(1, api.path, number)
    event = json.loads(make_body(1, api.path, number, random, event_time(0, 3)).v2)
    event |= {"uuid": "@uuid@", "timestamp": "@time@"}
    for member, role in {"target_user": "user", "user": "user", "actor_details": "user"}.items():
        _name(event.get(member), role)
    for member, role in {"object_details": "object", "aux_details": "aux"}.items():
        if _name(event.get(member), role):
            event[member.replace("details", "uuid")] = f"@{role}@"
    for member, token in {"actor_uuid": "user", "vault_uuid": "vault", "item_uuid": "item"}.items():
        if member in event:
            event[member] = f"@{token}@"
    if event.get("object_type") in _VAULTS:
        event["object_uuid"] = "@vault@"
    for part, member in (("client", "ip_address"), ("session", "ip")):
        if part in event:
            event[part][member] = "@ip@"
    return _TOKEN.split(json.dumps(event, ensure_ascii=False, separators=(",", ":")))


def _name(person: Any, role: str) -> bool:
    if isinstance(person, dict):
        person |= {"uuid": f"@{role}@", "name": f"@{role}_name@", "email": f"@{role}_email@"}
    return isinstance(person, dict)


def _body(template: list[str], people: Population, uuid: str, time_ns: int) -> str:
    values = {
        "uuid": uuid,
        "time": f"{datetime.fromtimestamp(time_ns // SECOND, UTC):%Y-%m-%dT%H:%M:%S}.{time_ns // 10**6 % 1000:03}Z",
        "ip": people.pick(people.ips),
        "vault": people.pick(people.vaults),
        "item": people.pick(people.items),
    }
    for role in ("user", "object", "aux"):
        values[role], values[f"{role}_name"], values[f"{role}_email"] = people.pick(people.users)
    parts = [values[part] if place % 2 else part for place, part in enumerate(template)]
    return "".join(parts)


def _write_sqlite(engine: Engine, pages: Iterator[_Page]) -> None:
    with engine.connect() as connection:
        raw: Any = connection.connection.driver_connection
        connection.exec_driver_sql("COMMIT")
        for pragma in ("synchronous=OFF", "cache_size=-6000000", "wal_autocheckpoint=100000"):
            raw.execute(f"PRAGMA {pragma}")
        row = "INSERT INTO events (id, stream_id, uuid, time_ns, received_ns, body) VALUES (?, ?, ?, ?, ?, ?)"
        written: list[_Page] = []
        for page in pages:
            raw.execute("BEGIN")
            raw.executemany(row, page.rows)
            raw.execute("COMMIT")
            written.append(_without_bodies(page))
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        _write_counts(connection, written)
        connection.commit()


def _write_postgresql(engine: Engine, pages: Iterator[_Page]) -> None:
    with engine.begin() as connection:
        driver: Any = connection.connection.driver_connection
        written: list[_Page] = []
        with (
            driver.cursor() as cursor,
            cursor.copy("COPY events (id, stream_id, uuid, time_ns, received_ns, body) FROM STDIN") as copy,
        ):
            for page in pages:
                for row in page.rows:
                    copy.write_row(row)
                written.append(_without_bodies(page))
        last = written[-1].first_id + PAGE
        connection.execute(text(f"SELECT setval(pg_get_serial_sequence('events', 'id'), {last})"))
        _write_counts(connection, written)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))


def _without_bodies(page: _Page) -> _Page:
    return _Page(page.stream_id, page.number, page.first_id, [(*row[:5], "") for row in page.rows])


def _write_counts(connection: Any, pages: list[_Page]) -> None:
    hours = Counter((page.stream_id, row[3] // HOUR_NS) for page in pages for row in page.rows)
    connection.execute(
        insert(table_of(HourlyCountRow)),
        [{"stream_id": stream, "hour": hour, "events": number} for (stream, hour), number in hours.items()],
    )
    link = text(
        "INSERT INTO chain (stream_id, number, first_id, last_id, events, api_version, committed_ns, digest) "
        "VALUES (:stream, :number, :first, :last, :events, 'v2', :committed, :digest)"
    )
    stream = text(
        "UPDATE streams SET events = events + :events, link = :number, link_id = :last, newest_ns = :newest,"
        " progress_ns = :newest, drained_ns = :newest WHERE id = :stream"
    )
    rows = [
        {
            "stream": page.stream_id,
            "number": page.number,
            "first": page.first_id,
            "last": page.first_id + len(page.rows) - 1,
            "events": len(page.rows),
            "committed": page.rows[-1][4],
            "digest": b"",
            "newest": page.rows[-1][3],
        }
        for page in pages
    ]
    connection.execute(link, rows)
    for row in rows:
        connection.execute(stream, row)
