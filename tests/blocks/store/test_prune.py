"""Retention on SQLite and PostgreSQL: what is removed and what stays, after a kill too; no run waits for it."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from support.values import SOURCE

from blocks import clock
from blocks.errors import ThirdPartyConfigError
from blocks.events_api.models import Event, Page
from blocks.store import pages, prune, streams

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from blocks.store.prune import PruneTarget
    from blocks.store.streams import StreamClaim

DAY_NS = 86_400 * 10**9
NOW_NS = 1_790_000_000 * 10**9
NUL = '{"n": "\\u0000"}'


class At:
    """A clock that stands still."""

    def __init__(self, now_ns: int) -> None:
        self.at_ns = now_ns

    def now_ns(self) -> int:
        return self.at_ns

    def engine_delay(self, seconds: float) -> float:
        return seconds


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> At:
    stands = At(NOW_NS)
    monkeypatch.setattr(clock, "clock", stands)
    return stands


def store(engine: Engine, claim: StreamClaim, rows: list[tuple[int, int]], body: str = "{}") -> list[str]:
    """Events of these ages and ages of receipt, in days, past the code under test. Returns their uuids by id."""
    made: list[dict[str, Any]] = [
        {"s": claim.stream_id, "u": f"U{n}", "t": NOW_NS - age * DAY_NS, "r": NOW_NS - received * DAY_NS, "b": body}
        for n, (age, received) in enumerate(rows)
    ]
    with engine.begin() as connection:
        for row in made:
            connection.execute(
                text("INSERT INTO events (stream_id, uuid, time_ns, received_ns, body) VALUES (:s, :u, :t, :r, :b)"),
                row,
            )
        connection.execute(text("UPDATE streams SET events = :n WHERE id = :s"), {"n": len(made), "s": claim.stream_id})
    return [row["u"] for row in made]


def forward(engine: Engine, claim: StreamClaim, name: str, acknowledged_id: int) -> None:
    with engine.begin() as connection:
        connection.execute(
            text("INSERT INTO positions (pair_id, stream_id, acknowledged_id) VALUES (:f, :s, :i)"),
            {"f": name, "s": claim.stream_id, "i": acknowledged_id},
        )


def target(engine: Engine, claim: StreamClaim) -> PruneTarget:
    return next(one for one in prune.targets(engine) if one.stream_id == claim.stream_id)


def prune_events(engine: Engine, claim: StreamClaim, older_than: str = "400d") -> list[int]:
    return list(prune.prune(engine, target(engine, claim), prune.parse_rule(older_than), wait=lambda _: None))


def ask(engine: Engine, query: str) -> list[tuple[Any, ...]]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def stored_uuids(engine: Engine) -> set[str]:
    return {row[0] for row in ask(engine, "SELECT uuid FROM events")}


@pytest.mark.parametrize("span", ["120d", "2903h", "17w", "1m", "0d"])
def test_under_121_days_is_an_error_with_the_reason(span: str) -> None:
    with pytest.raises(ThirdPartyConfigError, match="less than 121 days: 1Password keeps its events for 120"):
        prune.parse_rule(span)


@pytest.mark.parametrize("span", ["", "400", "-400d", "1y", "400 d", "2025-01-01"])
def test_what_is_no_time_is_an_error(span: str) -> None:
    with pytest.raises(ThirdPartyConfigError, match=r"--older-than: .* is not a number of days or weeks"):
        prune.parse_rule(span)


def test_any_long_time_is_taken(engine: Engine, claim: StreamClaim) -> None:
    store(engine, claim, [(5000, 5000)])
    assert prune_events(engine, claim, "999999999w") == []


def test_an_unknown_source_is_named(engine: Engine, claim: StreamClaim) -> None:
    assert {one.api for one in prune.targets(engine, SOURCE.name)} == set(SOURCE.apis)
    with pytest.raises(ThirdPartyConfigError, match="no source named 'Other'"):
        prune.targets(engine, "Other")


AGES = st.tuples(st.integers(-2, 600), st.integers(0, 600))


@given(
    rows=st.lists(AGES, max_size=12),
    forwards=st.lists(st.integers(-1, 13), max_size=3),
    older_than=st.integers(121, 500),
    batch=st.integers(1, 4),
)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_goes_is_old_long_received_and_sent_by_every_forward(  # noqa: PLR0917 - hypothesis names them
    engine: Engine,
    claim: StreamClaim,
    at: At,
    monkeypatch: pytest.MonkeyPatch,
    rows: list[tuple[int, int]],
    forwards: list[int],
    older_than: int,
    batch: int,
) -> None:
    _empty(engine)
    monkeypatch.setattr(prune, "BATCH", batch)
    uuids = store(engine, claim, rows)
    (first_id,) = ask(engine, "SELECT min(id) FROM events")[0]
    for number, sent in enumerate(forwards):  # `sent` events of the stream, from the first on
        forward(engine, claim, f"f{number}", (first_id or 1) + sent - 1)
    goes = {
        uuid
        for position, (uuid, (age, received)) in enumerate(zip(uuids, rows, strict=True))
        if is_old(age, received, older_than) and received > 121 and all(position < sent for sent in forwards)
    }
    planned = prune.plan(engine, target(engine, claim), prune.parse_rule(f"{older_than}d"))
    removed = prune_events(engine, claim, f"{older_than}d")
    assert stored_uuids(engine) == set(uuids) - goes
    assert {row[0] for row in ask(engine, "SELECT uuid FROM pruned_events")} == goes
    assert (planned.going, sum(removed)) == (len(goes), len(goes))
    assert planned.going + planned.unsent + planned.recent == sum(is_old(*row, older_than) for row in rows)
    counts = ask(engine, f"SELECT events, pruned FROM streams WHERE id = {claim.stream_id}")
    assert counts == [(len(rows) - len(goes), len(goes))]
    details = [
        json.loads(row[0]) for row in ask(engine, "SELECT details FROM audit_log WHERE action = 'prune' ORDER BY id")
    ]
    assert [one["count"] for one in details] == removed


def is_old(age: int, received: int, older_than: int) -> bool:
    """By its time; one that is dated in the future by its receipt."""
    return age > older_than or (age < 0 and received > older_than)


def _empty(engine: Engine) -> None:
    with engine.begin() as connection:
        for table in ("events", "pruned_events", "audit_log", "positions"):
            connection.execute(text(f"DELETE FROM {table}"))
        connection.execute(text("UPDATE streams SET events = 0, pruned = 0"))


def test_uuid_times_and_digest_stay_and_the_legible_copy_goes(engine: Engine, claim: StreamClaim, at: At) -> None:
    at.at_ns = NOW_NS - 300 * DAY_NS
    times = [NOW_NS - 401 * DAY_NS + 7, NOW_NS - 10 * DAY_NS]
    events = [Event(f"U{n}", time_ns, NUL) for n, time_ns in enumerate(times)]
    pages.commit_page(
        engine, claim, Page("c1", has_more=False, events=events, invalid_items=[]), after=None, api_version="v2"
    )
    assert len(ask(engine, "SELECT * FROM legible_bodies")) == 2
    at.at_ns = NOW_NS
    assert prune_events(engine, claim) == [1]
    (row,) = ask(engine, "SELECT stream_id, uuid, time_ns, received_ns, digest FROM pruned_events")
    digest = hashlib.sha256(NUL.encode()).digest()
    assert (*row[:4], bytes(row[4])) == (claim.stream_id, "U0", times[0], NOW_NS - 300 * DAY_NS, digest)
    assert ask(engine, "SELECT uuid FROM legible_bodies") == [("U1",)]
    received_ns = NOW_NS - 300 * DAY_NS
    assert ask(engine, "SELECT newest_ns FROM streams WHERE events = 1") == [(received_ns,)], "no event is from then on"


def test_each_batch_is_recorded_with_who_and_what(
    engine: Engine, claim: StreamClaim, at: At, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prune, "BATCH", 3)
    store(engine, claim, [(500 - n, 200) for n in range(5)])
    assert prune_events(engine, claim) == [3, 2]
    ids = [row[0] for row in ask(engine, "SELECT id FROM events")]
    assert ids == []
    first, second = ask(
        engine,
        "SELECT action, source_id, source_name, actor, details FROM audit_log WHERE action = 'prune' ORDER BY id",
    )
    assert first[:3] == ("prune", SOURCE.id, SOURCE.name)
    assert "@" in first[3]
    details = json.loads(first[4])
    assert (details["api"], details["stream_id"], details["count"]) == ("audit", claim.stream_id, 3)
    assert details["last_id"] - details["first_id"] == 2
    assert details["first_time"] < details["last_time"] < details["before"]
    assert json.loads(second[4])["first_id"] == details["last_id"] + 1


def _first_old(engine: Engine, stream_id: int, rule: prune.RetentionRule) -> tuple[list[int], tuple[int, int] | None]:
    return prune._next_batch(engine, stream_id, rule, rule.before_ns, (0, -1))


def test_a_forward_that_came_between_look_and_removal_is_obeyed(engine: Engine, claim: StreamClaim, at: At) -> None:
    store(engine, claim, [(500, 200)] * 3)
    found, _ = _first_old(engine, claim.stream_id, prune.parse_rule("400d"))
    old = prune._digests(engine, found)
    forward(engine, claim, "late", old[0].id)
    assert prune._remove(engine, target(engine, claim), prune.parse_rule("400d"), old) == 1
    assert stored_uuids(engine) == {"U1", "U2"}


def test_what_another_prune_took_is_not_counted_twice(engine: Engine, claim: StreamClaim, at: At) -> None:
    store(engine, claim, [(500, 200)] * 3)
    found, _ = _first_old(engine, claim.stream_id, prune.parse_rule("400d"))
    old = prune._digests(engine, found)
    assert prune._remove(engine, target(engine, claim), prune.parse_rule("400d"), old[:2]) == 2
    assert prune._remove(engine, target(engine, claim), prune.parse_rule("400d"), old) == 1
    assert ask(engine, "SELECT count(*) FROM audit_log WHERE action = 'prune'") == [(2,)]
    assert ask(engine, f"SELECT events, pruned FROM streams WHERE id = {claim.stream_id}") == [(0, 3)]


def test_it_waits_after_each_batch(engine: Engine, claim: StreamClaim, at: At, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prune, "BATCH", 2)
    store(engine, claim, [(500, 200)] * 4)
    waits: list[float] = []
    list(prune.prune(engine, target(engine, claim), prune.parse_rule("400d"), wait=waits.append))
    assert len(waits) == 2
    assert min(waits) > 0.1  # SQLite's busy writers look again after 0.1 s at most


def test_a_removed_event_that_is_read_again_is_not_stored_again(engine: Engine, claim: StreamClaim, at: At) -> None:
    store(engine, claim, [(500, 200), (450, 10)])
    prune_events(engine, claim)
    again = [Event(f"U{n}", NOW_NS - age * DAY_NS, "{}") for n, age in enumerate((500, 450, 440))]
    again[2:] = [Event("NEW", NOW_NS - 440 * DAY_NS, "{}"), Event("TODAY", NOW_NS, "{}")]
    page = Page("c1", has_more=False, events=again, invalid_items=[])
    committed = pages.commit_page(engine, claim, page, after=None, api_version="v2")
    assert (committed.new, committed.known) == (2, 2)
    assert stored_uuids(engine) == {"U1", "NEW", "TODAY"}


# Prunes in batches of BATCH, and kills itself just before the n-th statement, commits among them.
SCRIPT = """
import os, signal, sys
from sqlalchemy import event
from blocks.store import prune
from blocks.store.engine import open_engine

url, fatal, prune.BATCH = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
engine = open_engine(url)
statements = 0

def step(*_):
    global statements
    statements += 1
    if statements == fatal:
        os.kill(os.getpid(), signal.SIGKILL)

event.listen(engine, "before_cursor_execute", step)
event.listen(engine, "commit", step)
for target in prune.targets(engine):
    for _ in prune.prune(engine, target, prune.parse_rule("400d"), wait=lambda seconds: None):
        pass
"""


def prune_in_a_process(url: str, fatal: int, batch: int = 10) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", SCRIPT, url, str(fatal), str(batch)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def consistent(engine: Engine, everything: set[str]) -> int:
    """Whether each event is either kept or recorded as removed, and all counts agree. Returns how many were removed."""
    removed = {row[0] for row in ask(engine, "SELECT uuid FROM pruned_events")}
    uuids = ask(engine, "SELECT uuid FROM events")
    assert len(uuids) + len(removed) == len(everything)
    assert {row[0] for row in uuids} | removed == everything
    assert ask(engine, "SELECT sum(events), sum(pruned) FROM streams") == [(len(uuids), len(removed))]
    details = [
        json.loads(row[0])["count"] for row in ask(engine, "SELECT details FROM audit_log WHERE action = 'prune'")
    ]
    assert sum(details) == len(removed)
    return len(removed)


def _killed_before(engine: Engine, claim: StreamClaim, url: str, fatal: int) -> None:
    now_ns = time.time_ns()
    uuids = set(store(engine, claim, [(500, 200)] * 25))
    with engine.begin() as connection:
        shift = {"by": now_ns - NOW_NS}
        connection.execute(text("UPDATE events SET time_ns = time_ns + :by, received_ns = received_ns + :by"), shift)
    done = prune_in_a_process(url, fatal)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert consistent(engine, uuids) in {0, 10, 20, 25}
    assert prune_in_a_process(url, 0).returncode == 0
    assert consistent(engine, uuids) == 25


@pytest.mark.parametrize("fatal", [14, 20])  # in the middle of a batch: on PostgreSQL, on SQLite
@pytest.mark.torture
def test_killed_at_one_statement_the_next_run_goes_on(
    engine: Engine, claim: StreamClaim, store_url: str, fatal: int
) -> None:
    _killed_before(engine, claim, store_url, fatal)


@pytest.mark.torture
@pytest.mark.parametrize("fatal", range(2, 24))
def test_killed_at_any_statement_the_next_run_goes_on(
    engine: Engine, claim: StreamClaim, store_url: str, fatal: int
) -> None:
    _killed_before(engine, claim, store_url, fatal)


# Commits pages of a hundred new events, until it gets a signal, and prints how long each commit took.
COLLECTOR = """
import json, sys, threading, time
from blocks.events_api.models import Api, Event, Page
from blocks.store import pages, streams
from blocks.store.engine import open_engine

engine = open_engine(sys.argv[1])
view = streams.of_source(engine, sys.argv[2], (Api.AUDIT,))[0]
held = streams.acquire(engine, view, "collector", by_force=True)
over = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
cursor, number, took = view.cursor, 0, []
print("ready", flush=True)
while not over.is_set():
    events = [Event(f"N{n}", time.time_ns(), "{}") for n in range(number, number + 100)]
    page = Page(f"n{number}", has_more=True, events=events, invalid_items=[])
    started = time.monotonic()
    pages.commit_page(engine, held, page, after=cursor, api_version="v2")
    took.append(time.monotonic() - started)
    cursor, number = page.cursor, number + 100
    time.sleep(0.005)
print(json.dumps({"events": number, "longest": max(took)}), flush=True)
"""


def _kills_beside_a_collector(engine: Engine, claim: StreamClaim, url: str, events: int, kills: int) -> None:
    store(engine, claim, [(0, 0)] * events)
    old_ns = time.time_ns() - 500 * DAY_NS
    with engine.begin() as connection:
        connection.execute(text("UPDATE events SET time_ns = :t, received_ns = :t"), {"t": old_ns})
    streams.release(engine, claim)
    command = [sys.executable, "-c", COLLECTOR, url, SOURCE.id]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as collector:
        assert collector.stdout is not None
        collector.stdout.readline()
        before = 0
        for _ in range(kills):
            before = _kill_when_it_prunes(engine, url, before)
        assert prune_in_a_process(url, 0, 1000).returncode == 0
        output = json.loads(collector.communicate("")[0])
    everything = {f"U{n}" for n in range(events)} | {f"N{n}" for n in range(output["events"])}
    assert consistent(engine, everything) == events
    assert output["events"] > 0
    assert output["longest"] < 30  # half of what SQLite waits for a lock; in truth a moment, but machines are loaded


def _kill_when_it_prunes(engine: Engine, url: str, before: int) -> int:
    command = [sys.executable, "-c", SCRIPT, url, "0", "10"]
    with subprocess.Popen(command) as pruner:
        removed, deadline = before, time.monotonic() + 60
        while removed == before and time.monotonic() < deadline:
            removed = ask(engine, "SELECT sum(pruned) FROM streams")[0][0]
        time.sleep(random.uniform(0, 0.02))  # noqa: S311 - no secret
        os.kill(pruner.pid, signal.SIGKILL)
    assert removed > before
    return int(ask(engine, "SELECT sum(pruned) FROM streams")[0][0])


@pytest.mark.torture
def test_killed_beside_a_collector(engine: Engine, claim: StreamClaim, store_url: str) -> None:
    _kills_beside_a_collector(engine, claim, store_url, events=3000, kills=1)


@pytest.mark.torture
def test_killed_twenty_times_beside_a_collector(engine: Engine, claim: StreamClaim, store_url: str) -> None:
    _kills_beside_a_collector(engine, claim, store_url, events=60_000, kills=20)
