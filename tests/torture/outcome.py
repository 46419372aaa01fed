"""The outcome of a fault: the store's events compared with the server's, and the number of requests."""

from __future__ import annotations

import os
import random
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlalchemy import text
from support.values import require_proof

from blocks.errors import SourceError
from blocks.events_api.models import Api
from blocks.store import health, source_status
from blocks.store.engine import open_engine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from sqlalchemy import Engine

    from deployments.sandbox.process import SandboxProcess


PAGE = 1000
PROVEN_MOST = 1_000_000  # events whose chain is verified here: all of them are read into memory


@dataclass
class Row:
    """One row of the table, with measured values. `allowed` is the most requests that the fault may cost."""

    fault: str
    times: int = 0
    events: int | None = None
    lost: int | None = None
    twice: int | None = None
    requests: int | None = None
    allowed: int | None = None
    seconds: float = 0.0
    seed: int | None = None
    notes: list[str] = field(default_factory=list)

    def cells(self) -> tuple[str, ...]:
        request_count = "" if self.requests is None else f"{self.requests:,}"
        request_count += "" if self.allowed is None else f" ({self.allowed:,})"
        counts = ["" if one is None else f"{one:,}" for one in (self.events, self.lost, self.twice)]
        return self.fault, str(self.times or ""), *counts, request_count, f"{self.seconds:.1f}"

    def chance(self) -> random.Random:
        """Random moments; TORTURE_SEED=… repeats them."""
        self.seed = int(os.environ.get("TORTURE_SEED") or random.SystemRandom().randrange(10**6))
        print(f"{self.fault}: TORTURE_SEED={self.seed}")  # noqa: T201 - shown where the test fails
        return random.Random(self.seed)  # noqa: S311

    def compare(self, url: str, sandbox: SandboxProcess, name: str) -> None:
        """Assert that the store holds what the server has: uuid for uuid, body for body, nothing twice."""
        kept = stored(url, name)
        there = truth(sandbox)
        count = kept.total()
        self.events = (self.events or 0) + count
        lost = sum((there[api] - Counter(kept.of(api))).total() for api in Api)
        more = sum((Counter(kept.of(api)) - there[api]).total() for api in Api)
        self.lost = (self.lost or 0) + lost
        self.twice = (self.twice or 0) + kept.twice()
        assert (lost, more, kept.twice()) == (0, 0, 0), f"lost {lost}, not the server's {more}, twice {kept.twice()}"
        assert count == sum(kept.counted.values()), "the count that `status` shows is another one"
        if count <= PROVEN_MOST:
            with opened(url) as engine:
                require_proof(engine)

    def compare_while_events_arrive(
        self, url: str, sandbox: SandboxProcess, names: Iterable[str], collect: Callable[[str], object]
    ) -> None:
        """Collect each source again. Assert that it has what the server had before, nothing else, and nothing twice.

        Events keep arriving: those that arrive while a source is collected may be stored or not.
        """
        self.events = self.lost = self.twice = 0
        for name in names:
            before = truth(sandbox)
            collect(name)
            kept, after = stored(url, name), truth(sandbox)
            for api in Api:
                self.lost += (before[api] - Counter(kept.of(api))).total()
                assert Counter(kept.of(api)) <= after[api], f"{api} of {name} has what the server never had"
            self.events += kept.total()
            self.twice += kept.twice()
        assert (self.lost, self.twice) == (0, 0)
        with opened(url) as engine:
            require_proof(engine)

    def count_requests(self, sandbox: SandboxProcess, allowed: int) -> None:
        """Assert that no more than `allowed` requests for pages were made."""
        self.requests = (self.requests or 0) + request_count(sandbox)
        self.allowed = (self.allowed or 0) + allowed
        assert request_count(sandbox) <= allowed, sandbox.requests()["endpoints"]


def truth(sandbox: SandboxProcess) -> dict[Api, Counter[str]]:
    """The bodies of all events that the server has."""
    return {api: Counter(body.decode() for body in sandbox.events(api.path, "v2")) for api in Api}


@dataclass(frozen=True)
class Stored:
    """What the store holds of a source: (API, uuid, body) of each event, and its own count per API."""

    rows: list[tuple[str, str, str]]
    counted: dict[str, int]

    def of(self, api: Api) -> list[str]:
        return [body for one, _, body in self.rows if one == api]

    def total(self) -> int:
        return len(self.rows)

    def twice(self) -> int:
        return len(self.rows) - len({(api, uuid) for api, uuid, _ in self.rows})


def stored(url: str, name: str) -> Stored:
    with opened(url) as engine, engine.connect() as connection:
        of_source = "streams.source_id = (SELECT id FROM sources WHERE name = :name)"
        found = connection.execute(
            text(f"SELECT api, uuid, body FROM events JOIN streams ON streams.id = stream_id WHERE {of_source}"),
            {"name": name},
        )
        rows = [tuple(row) for row in found]
        counts = connection.execute(text(f"SELECT api, events FROM streams WHERE {of_source}"), {"name": name}).all()
    return Stored(rows, {str(api): int(count) for api, count in counts})  # type: ignore[arg-type]


@contextmanager
def opened(url: str) -> Iterator[Engine]:
    engine = open_engine(url)
    try:
        yield engine
    finally:
        engine.dispose()


def request_count(sandbox: SandboxProcess, part: str = "/api/v2/") -> int:
    """The number of requests for pages whose endpoint has `part` in it."""
    counts = sandbox.requests()["endpoints"]
    return sum(each["requests"] for name, each in counts.items() if part in name and "introspect" not in name)


def refused(sandbox: SandboxProcess) -> int:
    """The number of requests that the server answered with 429."""
    return sum(each.get("429", 0) for each in sandbox.requests()["endpoints"].values())


def pages_of(url: str, name: str) -> int:
    """The number of full pages that the events of a source make."""
    return sum(count // PAGE for count in stored(url, name).counted.values())


def allowed_requests(url: str, name: str, *, runs: int, interrupted: int) -> int:
    """The most requests for pages: each full page once; for each run and API the last page, which is not full; and for
    each interruption and API the current page and the page that is read ahead, again.
    """
    return pages_of(url, name) + len(Api) * (runs + 2 * interrupted)


def health_of(url: str, name: str) -> list[str]:
    """The eventName of each health event of a source, oldest first."""
    query = text("SELECT name FROM health_events WHERE source_name = :name ORDER BY id")
    with opened(url) as engine, engine.connect() as connection:
        return [str(found) for found in connection.execute(query, {"name": name}).scalars()]


def is_well(url: str, name: str, *reported: str) -> None:
    """Assert that a source has recovered: each stream is ok, and no condition is open.

    `reported` are the health events that are allowed beside "Recovered". "SharedAccount" may stay open.
    """
    assert states_of(url, name) == ["ok"] * len(Api)
    names = health_of(url, name)
    assert set(names) <= {*reported, "Recovered"}, names
    with opened(url) as engine:
        left = set(health.open_conditions(engine, state_of(url, name).id))
    assert left <= ({"shared-account"} if "SharedAccount" in reported else set()), left


def states_of(url: str, name: str) -> list[str]:
    """The state of each stream; empty while the store does not have the source."""
    try:
        return [stream.state for stream in state_of(url, name).streams]
    except SourceError:
        return []


def state_of(url: str, name: str) -> source_status.SourceStatus:
    with opened(url) as engine:
        return source_status.sources(engine, name)[0]
