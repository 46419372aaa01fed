"""Faults of the store and the process, in short: rounds in real processes, without Prefect and its retries."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text
from support.one_machine import wait_until
from support.values import SOURCE
from torture.outcome import Row, allowed_requests, opened, request_count
from torture.processes import Fork, Forks
from torture.strike import limit_files, locked, read_only, until

from blocks.store import sources
from deployments.sandbox.process import SandboxProcess, running_sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.processes

EVENTS = 9_000


@pytest.fixture(scope="module")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    with Forks.of("rounds", tmp_path_factory.mktemp("rounds"), dict(os.environ)) as made:
        yield made


@dataclass
class Rounds:
    """Rounds of the source, each of which reads its streams to their ends in a process of its own."""

    forks: Forks
    sandbox: SandboxProcess

    def start(self, url: str) -> Fork:
        return self.forks.call(url=url, base_url=self.sandbox.base_url, token=self.sandbox.token)

    def run(self, url: str) -> dict[str, str]:
        """What became of each API."""
        return dict(self.start(url).wait())


@pytest.fixture
def rounds(forks: Forks) -> Iterator[Rounds]:
    with running_sandbox(bulk=True, events=EVENTS) as sandbox:
        yield Rounds(forks, sandbox)


def check(row: Row, url: str, rounds: Rounds, *, before: int, interrupted: int) -> None:
    """One clean round after the fault and `before` rounds. Then each event is stored once."""
    row.times = 1
    assert all(said.startswith("ok") for said in rounds.run(url).values())
    row.compare(url, rounds.sandbox, SOURCE.name)
    allowed = allowed_requests(url, SOURCE.name, runs=before + 1, interrupted=interrupted)
    row.count_requests(rounds.sandbox, allowed)


def test_killed_at_a_random_moment(store_url: str, rounds: Rounds, row: Row) -> None:
    chance = row.chance()
    rounds.sandbox.fault("delay", seconds=0.03)
    process = rounds.start(store_url)
    wait_until(lambda: request_count(rounds.sandbox))
    until(chance.uniform(0, 0.3))
    process.kill()
    check(row, store_url, rounds, before=1, interrupted=1)


def test_two_processes_at_once(store_url: str, rounds: Rounds, row: Row) -> None:
    """Each takes the other's claims away (they bear one name), and the loser writes nothing."""
    with opened(store_url) as engine:
        sources.save(engine, SOURCE)
    said = [process.wait() for process in (rounds.start(store_url), rounds.start(store_url))]
    assert all(one.startswith(("ok", "ClaimLost")) for each in said for one in each.values()), said
    check(row, store_url, rounds, before=2, interrupted=2)


def test_two_processes_make_one_source_at_once(rounds: Rounds, row: Row, request: pytest.FixtureRequest) -> None:
    """PostgreSQL alone: on SQLite a transaction that writes keeps others out from its beginning."""
    url = request.getfixturevalue("store_url_postgresql")
    # Reading stays free under it, so both have seen that there is no such source before either can write it.
    with locked(url, "BEGIN", "LOCK TABLE sources IN SHARE MODE"):
        both = [rounds.start(url), rounds.start(url)]
        wait_until(lambda: _waiting_for_locks(url) == len(both))
    said = [process.wait() for process in both]
    assert all(one.startswith(("ok", "ClaimLost")) for each in said for one in each.values()), said
    check(row, url, rounds, before=2, interrupted=2)


@pytest.fixture
def store_url_postgresql(postgresql: str) -> Iterator[str]:
    name = f"test_{os.urandom(6).hex()}"
    with opened(postgresql) as engine, engine.connect() as connection:
        admin = connection.execution_options(isolation_level="AUTOCOMMIT")
        admin.execute(text(f"CREATE DATABASE {name} TEMPLATE migrated"))
        yield postgresql.replace("/postgres?", f"/{name}?")
        admin.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


def _waiting_for_locks(url: str) -> int:
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    with opened(url) as engine, engine.connect() as connection:
        return int(connection.execute(text(waiting)).scalar_one())


def test_a_file_that_may_not_grow(rounds: Rounds, migrated_sqlite: Path, tmp_path: Path, row: Row) -> None:
    url = _copy(migrated_sqlite, tmp_path)
    rounds.sandbox.fault("delay", seconds=0.1)
    process = rounds.start(url)
    limit_files(process, 2**20)
    assert all("FirstPartyGenericError: The store did not answer" in said for said in process.wait().values())
    check(row, url, rounds, before=1, interrupted=1)


def test_a_store_that_is_read_only(rounds: Rounds, migrated_sqlite: Path, tmp_path: Path, row: Row) -> None:
    (tmp_path / "shut").mkdir()
    url = _copy(migrated_sqlite, tmp_path / "shut")
    with read_only(tmp_path / "shut"):
        said = rounds.run(url)
    assert "FirstPartyGenericError" in said["store"]
    assert request_count(rounds.sandbox) == 0, "no page is requested that cannot be stored"
    check(row, url, rounds, before=1, interrupted=0)


def test_a_store_that_another_process_locks(rounds: Rounds, migrated_sqlite: Path, tmp_path: Path, row: Row) -> None:
    url = _copy(migrated_sqlite, tmp_path)
    with locked(url, "BEGIN EXCLUSIVE"):
        said = rounds.run(f"{url}?timeout=0.2")
    assert "FirstPartyGenericError: The store did not answer: database is locked" in said["store"]
    check(row, url, rounds, before=1, interrupted=0)


def _copy(migrated: Path, directory: Path) -> str:
    (directory / "events.db").write_bytes(migrated.read_bytes())
    return f"sqlite:///{directory / 'events.db'}"
