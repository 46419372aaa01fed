"""How long `coverage` and `status` take on a store of millions of events, beside one of a thousandth of it.

    .venv/bin/python tests/benchmarks/reading.py --events 10000000

The stores are made by SQL: three APIs, evenly over 110 days, with two gaps, a backfill and a daily reconcile of 30 days
in windows of a day for three months. Each command is timed as a whole process and as its own part of it, which leaves
out starting Python and importing; the best of some runs counts, since a machine is only ever slowed by others.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from contextlib import ExitStack, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent))

from databases import Databases
from sqlalchemy import text

from blocks.events_api.models import Api
from blocks.store import schema, sources
from blocks.store.engine import is_sqlite, open_engine
from blocks.store.sources import SourceRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Connection, Engine

NAME = "bench"
DAYS = 110
NOT_READ = (37, 38, 39, *range(87, 200))  # days ago that no reconcile has read
DAY_NS = 86_400 * 10**9
HOUR_NS = 3600 * 10**9
BODY = '{"uuid":"%s","timestamp":"2026-11-22T12:33:22Z","action":"fill","user":{"email":"grace.6@example.org"}}'
COMMANDS = (("status",), ("coverage",), ("coverage", "--json"), ("coverage", "--hours"), ("coverage", "--html", "-"))
RUNS = 5
STATE = "state = 'Collected', state_ns = :now, state_message = 'Nothing new.'"


def fill(engine: Engine, events: int, now_ns: int | None = None, name: str = NAME) -> None:
    """A source that has collected so many events up to `now_ns`, made by the database itself."""
    now_ns = now_ns or time.time_ns()
    record = SourceRecord("b" * 32, name, None, None, {}, "https://events.1password.com", tuple(Api), "v2", None, "f")
    sources.put(engine, record)
    start_ns = now_ns - DAYS * DAY_NS
    each = events // len(Api)
    with engine.begin() as connection:
        ids = connection.execute(text("SELECT id FROM streams WHERE source_id = :s ORDER BY id"), {"s": record.id})
        for stream_id in ids.scalars().all():
            _events(connection, stream_id, each, start_ns, DAYS * DAY_NS // each)
            _collected(connection, stream_id, start_ns, now_ns)
        _reconciled(connection, record.id, now_ns)
        connection.execute(text(f"UPDATE sources SET {STATE}"), {"now": now_ns})
    if not is_sqlite(engine):
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))


def _events(connection: Connection, stream_id: int, number: int, start_ns: int, step_ns: int) -> None:
    # A random uuid, as 1Password's are: the unique index is as large and as scattered as a real one.
    if connection.dialect.name == "sqlite":
        random = "hex(randomblob(13))"
        series = "WITH RECURSIVE many(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM many WHERE n + 1 < :number)"
    else:
        random = "upper(substr(md5(random() || '-' || n), 1, 26))"
        series = "WITH many AS (SELECT n FROM generate_series(0, CAST(:number AS integer) - 1) AS n)"
    made = text(
        f"INSERT INTO events (stream_id, uuid, time_ns, received_ns, body) {series} "
        f"SELECT :stream, {random}, :start + n * :step, :start + n * :step + 90000000000 + (n % 200) * 1000000000, "
        ":body FROM many"
    )
    asked = {"stream": stream_id, "number": number, "start": start_ns, "step": step_ns, "body": BODY}
    connection.execute(made, asked)
    connection.execute(
        text(
            "INSERT INTO hours (stream_id, hour, events) SELECT stream_id, time_ns / :hour, count(*) FROM events "
            "WHERE stream_id = :stream GROUP BY stream_id, time_ns / :hour"
        ),
        {"stream": stream_id, "hour": HOUR_NS},
    )


def _collected(connection: Connection, stream_id: int, start_ns: int, now_ns: int) -> None:
    spans = (
        (start_ns, now_ns - 90 * DAY_NS),
        (now_ns - 88 * DAY_NS, now_ns - 40 * DAY_NS),
        (now_ns - 37 * DAY_NS, now_ns),
    )
    for start, end in spans:
        connection.execute(
            text("INSERT INTO spans (stream_id, start_ns, end_ns) VALUES (:stream, :start, :end)"),
            {"stream": stream_id, "start": start, "end": end},
        )
    connection.execute(
        text(
            "UPDATE streams SET read_from_ns = :start, drained_ns = :now, progress_ns = :now, newest_ns = :now, "
            "lag_ns = 90000000000, events = (SELECT sum(events) FROM hours WHERE stream_id = :stream) "
            "WHERE id = :stream"
        ),
        {"stream": stream_id, "start": start_ns, "now": now_ns},
    )


def _reconciled(connection: Connection, source_id: str, now_ns: int) -> None:
    """Each day the last 30 days, in windows of a day: 8,100 windows; and a backfill of one of the gaps."""
    midnight = now_ns // DAY_NS * DAY_NS
    jobs, windows = [], []
    for ago in range(90):
        done = midnight - ago * DAY_NS + 4 * HOUR_NS
        jobs.append(_job(f"r{ago}", "reconcile", source_id, done - 30 * DAY_NS, done))
        windows += [
            _window(f"r{ago}", stream, midnight - (ago + day + 1) * DAY_NS, midnight - (ago + day) * DAY_NS, done)
            for day in range(30)
            for stream in range(len(Api))
            if ago + day not in NOT_READ
        ]
    jobs.append(_job("b", "backfill", source_id, now_ns - 90 * DAY_NS, now_ns - 88 * DAY_NS))
    windows.append(_window("b", 0, now_ns - 90 * DAY_NS, now_ns - 88 * DAY_NS, now_ns - 80 * DAY_NS))
    first = connection.execute(text("SELECT min(id) FROM streams WHERE source_id = :s"), {"s": source_id}).scalar_one()
    for window in windows:
        window["stream"] += first
    connection.execute(
        text(
            "INSERT INTO jobs (id, kind, source_id, start_ns, end_ns, apis, created_ns, finished_ns) "
            "VALUES (:id, :kind, :source, :start, :end, '[]', :done, :done)"
        ),
        jobs,
    )
    connection.execute(
        text(
            "INSERT INTO windows (job_id, stream_id, start_ns, end_ns, begun_ns, done_ns, pages) "
            "VALUES (:job, :stream, :start, :end, :done, :done, 1)"
        ),
        windows,
    )


def _job(id_: str, kind: str, source_id: str, start: int, done: int) -> dict[str, object]:
    return {"id": id_, "kind": kind, "source": source_id, "start": start, "end": done, "done": done}


def _window(job: str, stream: int, start: int, end: int, done: int) -> dict[str, int]:
    return {"job": job, "stream": stream, "start": start, "end": end, "done": done}  # type: ignore[dict-item]


def whole(arguments: Sequence[str], url: str) -> float:
    """Seconds of the quickest of some processes."""
    environment = {**os.environ, "ONEPASSWORD_SOURCE_DATABASE_URL": url}
    command = [sys.executable, "-m", "deployments.cli", *arguments]

    def run() -> None:
        subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)

    return min(_seconds(run) for _ in range(RUNS))


def own(arguments: Sequence[str], url: str) -> float:
    """Seconds of the quickest of some calls in this process, after one that imports what it needs."""
    from deployments import cli

    os.environ["ONEPASSWORD_SOURCE_DATABASE_URL"] = url

    def run() -> None:
        with redirect_stdout(StringIO()):
            assert cli.main(list(arguments)) == cli.DONE

    run()
    return min(_seconds(run) for _ in range(RUNS))


def _seconds(act: Callable[[], None]) -> float:
    before = time.perf_counter()
    act()
    return time.perf_counter() - before


def compare(databases: Databases, kind: str, events: int) -> None:
    with databases.empty(kind) as large, databases.empty(kind) as small:
        for url, number in ((small, max(events // 1000, 3)), (large, events)):
            engine = open_engine(url)
            schema.upgrade(engine)
            took = _seconds(lambda engine=engine, number=number: fill(engine, number))  # type: ignore[misc]
            engine.dispose()
            sys.stderr.write(f"{kind}: {number:,} events made in {took:.0f} s\n")
        for command in COMMANDS:
            arguments = [command[0], NAME, *command[1:]]
            ours, theirs = whole(arguments, large), whole(arguments, small)
            inner, little = own(arguments, large), own(arguments, small)
            sys.stdout.write(
                f"| {kind} | {events:,} | `{' '.join(command)}` | {ours:.2f} s | {ours / theirs:.2f} "
                f"| {inner * 1000:.0f} ms | {inner / little:.2f} |\n"
            )
            sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), action="append")
    arguments = parser.parse_args()
    sys.stdout.write("| in | events | command | whole process | to a thousandth | own part | to a thousandth |\n")
    sys.stdout.write("|---|---|---|---|---|---|---|\n")
    with ExitStack() as stack:
        databases = Databases(stack)
        for kind in arguments.database or ("sqlite", "postgresql"):
            compare(databases, kind, arguments.events)


if __name__ == "__main__":
    main()
