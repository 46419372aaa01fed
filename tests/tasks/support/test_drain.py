"""One stream read to its end, against a real server, into both databases."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text
from support.values import SOURCE

from blocks import clock
from blocks.errors import ClaimLostError, ThirdPartyConfigError, ThirdPartyGenericError
from blocks.events_api.client import EventsClient
from blocks.events_api.models import Api
from blocks.store import sources, streams
from deployments.sandbox.process import running_sandbox
from tasks.support import stopping
from tasks.support.drain import CollectResult, StreamReader

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine

    from blocks.store.sources import SourceRecord
    from blocks.store.streams import StreamClaim
    from deployments.sandbox.process import SandboxProcess

LOG = logging.getLogger("test")
AUDIT = "auditevents"


@pytest.fixture(scope="module")
def server() -> Iterator[SandboxProcess]:
    with running_sandbox(events=6600, days=3) as running:  # 2,200 for each API: three pages
        yield running


@pytest.fixture
def sandbox(server: SandboxProcess) -> SandboxProcess:
    server.clear_faults()
    server.clear_requests()
    return server


@pytest.fixture
def record(engine: Engine, sandbox: SandboxProcess) -> SourceRecord:
    config = replace(SOURCE, base_url=sandbox.base_url, collect_from="30d")
    sources.save(engine, config)
    return config


def claim_audit(engine: Engine, run: str = "run-1", *, by_force: bool = False) -> StreamClaim:
    view = streams.of_source(engine, SOURCE.id, (Api.AUDIT,))[0]
    claim = streams.acquire(engine, view, run, by_force=by_force)
    assert claim
    return claim


def drain(
    engine: Engine, sandbox: SandboxProcess, record: SourceRecord, claim: StreamClaim | None = None
) -> CollectResult:
    claim = claim or claim_audit(engine)
    with EventsClient(sandbox.base_url, sandbox.token, api_version=record.api_version) as client:
        return StreamReader(engine, client, record, claim, LOG).drain()


def bodies(engine: Engine) -> list[bytes]:
    with engine.connect() as connection:
        return [body.encode() for body in connection.execute(text("SELECT body FROM events")).scalars()]


def test_everything_that_the_server_holds_is_stored_byte_for_byte(
    engine: Engine, sandbox: SandboxProcess, record: SourceRecord
) -> None:
    truth = sandbox.events(AUDIT, "v2")
    collected = drain(engine, sandbox, record)
    assert (collected.new, collected.known, collected.quarantined) == (len(truth), 0, 0)
    assert sorted(bodies(engine)) == sorted(truth)
    view = streams.of_source(engine, SOURCE.id, (Api.AUDIT,))[0]
    assert view.holder is None
    assert view.drained_ns is not None
    assert view.newest_ns == collected.newest_ns


def test_a_second_round_asks_once_with_the_cursor_and_stores_nothing(
    engine: Engine, sandbox: SandboxProcess, record: SourceRecord
) -> None:
    drain(engine, sandbox, record)
    sandbox.clear_requests()
    again = drain(engine, sandbox, record)
    assert (again.new, again.known, again.pages) == (0, 0, 1)
    entries = [entry for entry in sandbox.requests()["last"] if AUDIT in entry["endpoint"]]
    assert len(entries) == 1
    assert entries[0]["shape"] == "cursor"


def test_late_events_behind_older_ones_are_collected(
    engine: Engine, sandbox: SandboxProcess, record: SourceRecord
) -> None:
    drain(engine, sandbox, record)
    sandbox.arrive(AUDIT, 5, late=20 * 3600)
    assert drain(engine, sandbox, record).new == 5


@pytest.mark.parametrize(
    "kind",
    [
        "duplicates",
        "reversed",
        "unknown_members",
        "unknown_values",
        "huge_numbers",
        "nul_escapes",
        "lone_surrogates",
        "empty_page",
        "null_items",
        "no_items",
    ],
)
def test_odd_pages_lose_nothing_and_double_nothing(
    engine: Engine, sandbox: SandboxProcess, record: SourceRecord, kind: str
) -> None:
    sandbox.fault(kind, api=AUDIT, times=None if kind not in {"empty_page", "null_items", "no_items"} else 1)
    truth = sandbox.events(AUDIT, "v2")
    drain(engine, sandbox, record)
    assert sorted(bodies(engine)) == sorted(set(truth))


@pytest.mark.parametrize("kind", ["no_uuid", "unreadable_time", "not_an_object"])
def test_poison_goes_to_quarantine_and_the_page_goes_on(
    engine: Engine, sandbox: SandboxProcess, record: SourceRecord, kind: str
) -> None:
    sandbox.fault(kind, api=AUDIT)
    truth = sandbox.events(AUDIT, "v2")
    collected = drain(engine, sandbox, record)
    with engine.connect() as connection:
        aside = [bytes(body) for body in connection.execute(text("SELECT body FROM quarantine")).scalars()]
    assert collected.quarantined == len(aside) > 0
    assert sorted({*bodies(engine), *aside}) == sorted(set(truth))
    assert collected.new + len(set(aside)) == len(set(truth))


def test_a_cursor_that_does_not_move_ends_the_round(
    engine: Engine, sandbox: SandboxProcess, record: SourceRecord
) -> None:
    drain(engine, sandbox, record)
    sandbox.fault("stuck_cursor", api=AUDIT)
    sandbox.clear_requests()
    collected = drain(engine, sandbox, record)
    assert "does not move" in collected.note
    assert len([entry for entry in sandbox.requests()["last"] if AUDIT in entry["endpoint"]]) == 1


def test_a_page_that_comes_again_and_again_ends_the_round(
    engine: Engine, sandbox: SandboxProcess, record: SourceRecord
) -> None:
    sandbox.fault("repeated_page", api=AUDIT, on="cursor")
    collected = drain(engine, sandbox, record)
    assert "does not move" in collected.note
    sandbox.clear_faults()
    drain(engine, sandbox, record)
    assert sorted(bodies(engine)) == sorted(sandbox.events(AUDIT, "v2"))


def test_endless_empty_pages_end_the_round(engine: Engine, sandbox: SandboxProcess, record: SourceRecord) -> None:
    sandbox.fault("endless_pages", api=AUDIT)
    collected = drain(engine, sandbox, record)
    assert "empty pages" in collected.note
    assert collected.pages <= 110


def test_a_rejected_cursor_is_dropped_once_and_reading_starts_48_hours_back(
    engine: Engine, sandbox: SandboxProcess, record: SourceRecord
) -> None:
    drain(engine, sandbox, record)
    sandbox.fault("rejected_cursor", api=AUDIT, times=1)
    sandbox.clear_requests()
    collected = drain(engine, sandbox, record)
    assert (collected.new, collected.known > 0) == (0, True)
    assert [entry["shape"] for entry in sandbox.requests()["last"] if AUDIT in entry["endpoint"]][:2] == [
        "cursor",
        "first",
    ]
    view = streams.of_source(engine, SOURCE.id, (Api.AUDIT,))[0]
    assert view.cursor_dropped_ns is None


def test_a_cursor_rejected_again_is_a_configuration_error(
    engine: Engine, sandbox: SandboxProcess, record: SourceRecord
) -> None:
    drain(engine, sandbox, record)
    sandbox.fault("rejected_cursor", api=AUDIT)
    claim = claim_audit(engine)
    with pytest.raises(ThirdPartyConfigError, match="dropped once already"):
        drain(engine, sandbox, record, claim)
    assert len(sandbox.requests()["last"]) < 12


def test_a_first_request_that_is_rejected_is_a_configuration_error(
    engine: Engine, sandbox: SandboxProcess, record: SourceRecord
) -> None:
    sandbox.fault("rejected_first", api=AUDIT)
    with pytest.raises(ThirdPartyConfigError, match="refused the first request"):
        drain(engine, sandbox, record)


def test_another_api_version_starts_from_a_time_and_doubles_nothing(
    engine: Engine, sandbox: SandboxProcess, record: SourceRecord
) -> None:
    drain(engine, sandbox, replace(record, api_version="v1"))
    stored = len(bodies(engine))
    sandbox.clear_requests()
    collected = drain(engine, sandbox, record)
    assert (collected.new, len(bodies(engine))) == (0, stored)
    assert sandbox.requests()["last"][0]["query"].keys() == {"limit", "start_time"}


def test_a_run_whose_claim_was_taken_stops_and_what_it_committed_stays(
    engine: Engine, sandbox: SandboxProcess, record: SourceRecord
) -> None:
    first = claim_audit(engine)
    claim_audit(engine, "run-2", by_force=True)
    with pytest.raises(ClaimLostError):
        drain(engine, sandbox, record, first)
    assert sandbox.requests()["last"] == []


@pytest.mark.parametrize(
    ("kind", "confirmed"), [("401", False), ("403", False), ("404", False), ("revoked", True), ("lost_scope", True)]
)
def test_introspection_decides_whether_a_refusal_is_the_configuration(
    engine: Engine, sandbox: SandboxProcess, record: SourceRecord, kind: str, *, confirmed: bool
) -> None:
    sandbox.fault(kind, api=None if kind == "revoked" else AUDIT, times=None)
    expected = ThirdPartyConfigError if confirmed else ThirdPartyGenericError
    with pytest.raises(expected):
        drain(engine, sandbox, record)


def test_a_stop_ends_after_the_current_page(
    engine: Engine, sandbox: SandboxProcess, record: SourceRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopping.requested.set()
    try:
        collected = drain(engine, sandbox, record)
    finally:
        stopping.requested.clear()
    assert (collected.pages, collected.new) == (1, 1000)
    assert "stopped" in collected.note
    drain(engine, sandbox, record)
    assert sorted(bodies(engine)) == sorted(sandbox.events(AUDIT, "v2"))


def test_collect_from_says_how_far_back_the_first_round_reads(
    engine: Engine, sandbox: SandboxProcess, record: SourceRecord
) -> None:
    short = replace(record, collect_from="24h")
    collected = drain(engine, sandbox, short)
    since_ns = sources.created_ns(engine, record.id) - 24 * 3600 * 10**9
    with engine.connect() as connection:
        oldest = connection.execute(text("SELECT min(time_ns) FROM events")).scalar()
    assert since_ns <= oldest < clock.now_ns()
    assert 0 < collected.new < len(sandbox.events(AUDIT, "v2"))
