"""How long `coverage` and `status` take on a store of millions of events, beside one of a thousandth of it.

    .venv/bin/python tests/benchmarks/reading.py --events 10000000

The stores are made by SQL: three APIs, evenly over `--days` (110), with two gaps, a backfill of one of them, and for
three months a daily reconcile of 30 days in windows of a day. Each command is timed as a whole process, its CPU time
beside it, and as its own part of it, which leaves out starting Python and importing. The best of some runs counts,
since a machine is only ever slowed by others.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from contextlib import ExitStack, redirect_stdout
from io import BytesIO, TextIOWrapper
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
GAPS = ((0.82, 0.80), (0.36, 0.33))  # parts of the time before now
DAY_NS = 86_400 * 10**9
HOUR_NS = 3600 * 10**9
BODY = (
    '{"uuid":"56YE2TYN2VFYRLNSHKPW5NVT5E","timestamp":"2026-11-22T12:33:22.123456Z","used_version":4,"vault_uuid":'
    '"VZSYVT2LGHTBWBQGUJAIZVRABM","item_uuid":"SDGD3I4AJYO6RMHRK8DYVNFIDZ","action":"fill","user":{"uuid":'
    '"4HCGRGYCTRQFBMGVEGTABYDU2V","name":"Grace Hopper","email":"grace.6@example.org"},"client":{"app_name":'
    '"1Password Browser","app_version":"20240","platform_name":"Chrome","os_name":"MacOSX","ip_address":"192.0.2.7"}}'
)
COMMANDS = (("status",), ("coverage",), ("coverage", "--json"), ("coverage", "--hours"), ("coverage", "--html", "-"))
RUNS = 3
BESIDE = "to a thousandth"
TITLES = ("in", "events", "command", "whole process", BESIDE, "its CPU", BESIDE, "own part", BESIDE)
STATE = "state = 'Collected', state_ns = :now, state_message = 'Nothing new.'"


def fill(engine: Engine, events: int, days: int = 110, name: str = NAME) -> None:
    """A source that has collected so many events in so many days, made by the database itself."""
    now_ns = time.time_ns()
    record = SourceRecord("b" * 32, name, None, None, {}, "https://events.1password.com", tuple(Api), "v2", None, "f")
    sources.save(engine, record)
    start_ns = now_ns - days * DAY_NS
    each = events // len(Api)
    with engine.begin() as connection:
        ids = connection.execute(text("SELECT id FROM streams WHERE source_id = :s ORDER BY id"), {"s": record.id})
        for stream_id in ids.scalars().all():
            _events(connection, stream_id, each, start_ns, days * DAY_NS // each)
            _collected(connection, stream_id, start_ns, now_ns)
        _reconciled(connection, record.id, start_ns, now_ns)
        connection.execute(text(f"UPDATE sources SET {STATE}"), {"now": now_ns})
    if not is_sqlite(engine):
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))


def _events(connection: Connection, stream_id: int, number: int, start_ns: int, step_ns: int) -> None:
    # Uuids that rise make the store in minutes instead of an hour; nothing that is measured reads that index.
    if connection.dialect.name == "sqlite":
        uuid = "printf('%026d', n)"
        series = "WITH RECURSIVE many(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM many WHERE n + 1 < :number)"
    else:
        uuid = "lpad(CAST(n AS text), 26, '0')"
        series = "WITH many AS (SELECT n FROM generate_series(0, CAST(:number AS bigint) - 1) AS n)"
    made = text(
        f"INSERT INTO events (stream_id, uuid, time_ns, received_ns, body) {series} "
        f"SELECT :stream, {uuid}, :start + n * :step, :start + n * :step + 90000000000 + (n % 200) * 1000000000, "
        ":body FROM many"
    )
    values = {"stream": stream_id, "number": number, "start": start_ns, "step": step_ns, "body": BODY}
    connection.execute(made, values)
    connection.execute(
        text(
            "INSERT INTO hourly_counts (stream_id, hour, events) "
            "SELECT stream_id, time_ns / :hour, count(*) FROM events "
            "WHERE stream_id = :stream GROUP BY stream_id, time_ns / :hour"
        ),
        {"stream": stream_id, "hour": HOUR_NS},
    )


def _collected(connection: Connection, stream_id: int, start_ns: int, now_ns: int) -> None:
    edges = [start_ns, *(edge for gap in _gaps(start_ns, now_ns) for edge in gap), now_ns]
    spans = list(zip(edges[::2], edges[1::2], strict=True))
    for start, end in spans:
        connection.execute(
            text("INSERT INTO collected_spans (stream_id, start_ns, end_ns) VALUES (:stream, :start, :end)"),
            {"stream": stream_id, "start": start, "end": end},
        )
    connection.execute(
        text(
            "UPDATE streams SET read_from_ns = :start, drained_ns = :now, progress_ns = :now, newest_ns = :now, "
            "lag_ns = 90000000000, events = (SELECT sum(events) FROM hourly_counts WHERE stream_id = :stream) "
            "WHERE id = :stream"
        ),
        {"stream": stream_id, "start": start_ns, "now": now_ns},
    )


def _gaps(start_ns: int, now_ns: int) -> list[tuple[int, int]]:
    length_ns = now_ns - start_ns
    return [(now_ns - int(first * length_ns), now_ns - int(last * length_ns)) for first, last in GAPS]


def _reconciled(connection: Connection, source_id: str, start_ns: int, now_ns: int) -> None:
    """Each day the last 30 days, in windows of a day: up to 8,100 windows; and for one API a backfill of a gap."""
    gaps = _gaps(start_ns, now_ns)
    midnight = now_ns // DAY_NS * DAY_NS
    jobs, windows = [], []
    for ago in range(90):
        done = midnight - ago * DAY_NS + 4 * HOUR_NS
        jobs.append(_job(f"r{ago}", "reconcile", source_id, done - 30 * DAY_NS, done))
        windows += [
            _window(f"r{ago}", stream, midnight - (ago + day + 1) * DAY_NS, midnight - (ago + day) * DAY_NS, done)
            for day in range(30)
            for stream in range(len(Api))
            if midnight - (ago + day + 1) * DAY_NS >= start_ns
            and not any(
                start < midnight - (ago + day) * DAY_NS and midnight - (ago + day + 1) * DAY_NS < end
                for start, end in gaps
            )
        ]
    jobs.append(_job("b", "backfill", source_id, gaps[0][0], now_ns))
    windows.append(_window("b", 0, *gaps[0], now_ns))
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


def whole(arguments: Sequence[str], url: str) -> tuple[float, float]:
    """Seconds of the quickest of some processes, and the fewest CPU seconds of one."""
    environment = {**os.environ, "ONEPASSWORD_SOURCE_DATABASE_URL": url}
    command = [sys.executable, "-m", "deployments.cli", *arguments]
    taken = []
    for _ in range(RUNS):
        before, started = os.times(), time.perf_counter()
        subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)
        after = os.times()
        cpu = after.children_user + after.children_system - before.children_user - before.children_system
        taken.append((time.perf_counter() - started, cpu))
    return min(seconds for seconds, _ in taken), min(cpu for _, cpu in taken)


def own(arguments: Sequence[str], url: str) -> float:
    """Seconds of the quickest of some calls in this process, after one that imports what it needs."""
    from deployments import cli

    os.environ["ONEPASSWORD_SOURCE_DATABASE_URL"] = url

    def run() -> None:
        with redirect_stdout(TextIOWrapper(BytesIO())):
            assert cli.main(list(arguments)) == cli.DONE

    run()
    return min(_seconds(run) for _ in range(RUNS))


def _seconds(act: Callable[[], None]) -> float:
    before = time.perf_counter()
    act()
    return time.perf_counter() - before


def compare(databases: Databases, kind: str, events: int, days: int) -> None:
    with databases.empty(kind) as large, databases.empty(kind) as small:
        for url, number in ((small, max(events // 1000, 3)), (large, events)):
            engine = open_engine(url)
            schema.upgrade(engine)
            took = _seconds(lambda engine=engine, number=number: fill(engine, number, days))  # type: ignore[misc]
            engine.dispose()
            sys.stderr.write(f"{kind}: {number:,} events made in {took:.0f} s\n")
        for command in COMMANDS:
            arguments = [command[0], NAME, *command[1:]]
            (ours, our_cpu), (theirs, their_cpu) = whole(arguments, large), whole(arguments, small)
            inner, little = own(arguments, large), own(arguments, small)
            sys.stdout.write(
                f"| {kind} | {events:,} | `{' '.join(command)}` | {ours:.2f} s | {ours / theirs:.2f} "
                f"| {our_cpu:.2f} s | {our_cpu / their_cpu:.2f} | {inner * 1000:.0f} ms | {inner / little:.2f} |\n"
            )
            sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--days", type=int, default=110)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), action="append")
    arguments = parser.parse_args()
    sys.stdout.write(f"| {' | '.join(TITLES)} |\n|{'---|' * len(TITLES)}\n")
    with ExitStack() as stack:
        databases = Databases(stack)
        for kind in arguments.database or ("sqlite", "postgresql"):
            compare(databases, kind, arguments.events, arguments.days)


if __name__ == "__main__":
    main()
