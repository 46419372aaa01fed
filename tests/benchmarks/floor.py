"""The floor: the least code that gets the same rows into the same tables. One thread, no Prefect, no SQLAlchemy.

For each API in turn, page by page: `httpx.Client.post` with the cursor; msgspec cuts the page into items and reads
uuid and timestamp of each; one transaction updates the stream's cursor and inserts the rows, with
ON CONFLICT (stream_id, uuid) DO NOTHING. The tables, their indexes and (on SQLite) the pragmas are the store's own.
SQLite: `sqlite3.executemany`. PostgreSQL: psycopg and one INSERT of three binary arrays, the fastest of the ways
tried (executemany took twice as long). It has no claims, no retries, no checks of what the server sends, no
quarantine and no counts.

Without a database it posts and reads nothing but the cursor: how fast the sandbox is.
"""

from __future__ import annotations

import sqlite3
import time
from typing import TYPE_CHECKING

import httpx
import msgspec
import psycopg
from measure import Stopwatch, print_measurement, read_job
from whenever import Instant

from blocks.events_api.models import Api
from blocks.store import engine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Row = tuple[int, str, int, int, str]
    Write = Callable[[int, str, list[Row]], None]

_INTO = "INSERT INTO events (stream_id, uuid, time_ns, received_ns, body)"
_ONCE = "ON CONFLICT (stream_id, uuid) DO NOTHING"


class _Answer(msgspec.Struct):
    cursor: str
    has_more: bool


class _Page(_Answer):
    items: list[msgspec.Raw]


class _Head(msgspec.Struct):
    uuid: str
    timestamp: str


_answer = msgspec.json.Decoder(_Answer)
_page = msgspec.json.Decoder(_Page)
_head = msgspec.json.Decoder(_Head)


def main() -> None:
    job, watch, pages = read_job(), Stopwatch(), 0
    write = _writer(job.database_url)
    with httpx.Client(base_url=job.base_url, headers={"Authorization": f"Bearer {job.token}"}) as http:
        watch.start()
        for stream_id, api in enumerate(Api, start=1):
            for content in _contents(http, api):
                pages += 1
                if write:
                    page = _page.decode(content)
                    write(stream_id, page.cursor, [_row(stream_id, bytes(item)) for item in page.items])
        watch.stop()
    print_measurement(watch.measured(pages))


def _contents(http: httpx.Client, api: Api) -> Iterator[bytes]:
    query: dict[str, object] = {"limit": 1000, "start_time": "2000-01-01T00:00:00Z"}
    has_more = True
    while has_more:
        content = http.post(f"/api/v2/{api.path}", json=query).raise_for_status().content
        yield content
        answer = _answer.decode(content)
        query, has_more = {"cursor": answer.cursor}, answer.has_more


def _row(stream_id: int, item: bytes) -> Row:
    head = _head.decode(item)
    time_ns = Instant.parse_iso(head.timestamp).timestamp(unit="nanosecond")
    return stream_id, head.uuid, time_ns, time.time_ns(), item.decode()


def _writer(url: str | None) -> Write | None:
    if url is None:
        return None
    path = engine.sqlite_path(url)
    return _sqlite_writer(path) if path else _postgresql_writer(url)


def _sqlite_writer(path: str) -> Write:
    connection = sqlite3.connect(path)
    engine._set_pragmas(connection, None)

    def write(stream_id: int, cursor: str, rows: list[Row]) -> None:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("UPDATE streams SET cursor = ? WHERE id = ?", (cursor, stream_id))
        connection.executemany(f"{_INTO} VALUES (?, ?, ?, ?, ?) {_ONCE}", rows)
        connection.execute("COMMIT")

    return write


def _postgresql_writer(url: str) -> Write:
    connection = psycopg.connect(url)
    arrays = "unnest(%b::int[], %b::text[], %b::bigint[], %b::bigint[], %b::text[])"
    insert = f"{_INTO} SELECT * FROM {arrays} {_ONCE}"

    def write(stream_id: int, cursor: str, rows: list[Row]) -> None:
        connection.execute("UPDATE streams SET cursor = %s WHERE id = %s", (cursor, stream_id))
        if rows:
            connection.execute(insert, [list(column) for column in zip(*rows, strict=True)])
        connection.commit()

    return write


if __name__ == "__main__":
    main()
