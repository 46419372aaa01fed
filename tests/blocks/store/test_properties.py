"""Whatever runs, crashes and re-reads interleave: every uuid once, every body byte for byte, nothing skipped."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy import event as database_event
from sqlalchemy import text
from support.values import SOURCE, require_proof

from blocks.errors import ClaimLostError
from blocks.events_api.models import Api, Event, Page
from blocks.store import pages, schema, sources, streams
from blocks.store.engine import open_engine

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from blocks.store.streams import StreamClaim

RUNS = st.sampled_from(["run-1", "run-2", "run-3"])


class CrashError(Exception):
    """The process ends here; the database sees a connection that goes away."""


class Server:
    """Events in arrival order. A cursor is a position; some events are served twice, as a real server may."""

    def __init__(self) -> None:
        self.arrived: list[Event] = []

    def page(self, cursor: str | None, size: int) -> Page:
        start = int(cursor or 0)
        served = self.arrived[start : start + size]
        again = self.arrived[max(start - 1, 0) : start]
        end = start + len(served)
        return Page(str(end), has_more=end < len(self.arrived), events=[*again, *served], invalid_items=[])


class Collecting(RuleBasedStateMachine):
    """Three runs that know nothing of each other, on one stream."""

    @initialize()
    def begin(self) -> None:
        self.directory = Path(tempfile.mkdtemp())
        self.engine: Engine = open_engine(f"sqlite:///{self.directory / 'events.db'}")
        schema.upgrade(self.engine)
        sources.save(self.engine, SOURCE)
        self.server = Server()
        self.held: dict[str, StreamClaim] = {}
        self.in_hand: dict[str, tuple[Page, str | None]] = {}

    @rule(number=st.integers(1, 30), body=st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20))
    def events_arrive(self, number: int, body: str) -> None:
        for _ in range(number):
            count = len(self.server.arrived)
            self.server.arrived.append(Event(f"U{count}", count * 7 % 5, f'{{"n":{count}, "x": "{body}"}}'))

    @rule(run=RUNS, by_force=st.booleans())
    def claim(self, run: str, *, by_force: bool) -> None:
        stream_claim = streams.acquire(self.engine, self._view(), run, by_force=by_force)
        if stream_claim:
            self.held[run] = stream_claim

    @precondition(lambda self: self.held)
    @rule(run=RUNS, size=st.integers(1, 12))
    def read(self, run: str, size: int) -> None:
        """A request: the cursor is read from the store, or from the page before, as read-ahead does."""
        cursor = self._view().cursor
        self.in_hand[run] = (self.server.page(cursor, size), cursor)

    @rule(run=RUNS)
    def commit(self, run: str) -> None:
        if run not in self.held or run not in self.in_hand:
            return
        page, after = self.in_hand.pop(run)
        try:
            pages.commit_page(self.engine, self.held[run], page, after=after, api_version="v2")
        except ClaimLostError:
            del self.held[run]

    @rule(run=RUNS, statement=st.integers(1, 9))
    def crash_while_committing(self, run: str, statement: int) -> None:
        if run not in self.held or run not in self.in_hand:
            return
        page, after = self.in_hand.pop(run)
        count = 0

        def die(*_: object) -> None:
            nonlocal count
            count += 1
            if count > statement:
                raise CrashError

        database_event.listen(self.engine, "before_cursor_execute", die)
        try:
            pages.commit_page(self.engine, self.held[run], page, after=after, api_version="v2")
        except (CrashError, ClaimLostError):
            pass
        finally:
            database_event.remove(self.engine, "before_cursor_execute", die)
        del self.held[run]

    @rule(run=RUNS)
    def drop_the_cursor(self, run: str) -> None:
        """As after a 400: everything is read again."""
        if run in self.held:
            try:
                streams.drop_cursor(self.engine, self.held[run])
            except ClaimLostError:
                del self.held[run]

    @invariant()
    def what_stands_before_the_cursor_is_stored_once_and_byte_for_byte(self) -> None:
        if not hasattr(self, "engine"):
            return
        with self.engine.connect() as connection:
            kept = connection.execute(text("SELECT uuid, body FROM events ORDER BY id")).all()
            events = connection.execute(text("SELECT events FROM streams WHERE api = 'audit'")).scalar()
        assert len(kept) == len({uuid for uuid, _ in kept}) == events
        served = {event.uuid: event.body for event in self.server.arrived}
        assert all(served[uuid] == body for uuid, body in kept)
        position = int(self._view().cursor or 0)
        assert {uuid for uuid, _ in kept} >= {event.uuid for event in self.server.arrived[:position]}
        require_proof(self.engine)

    def teardown(self) -> None:
        if not hasattr(self, "engine"):
            return
        last = streams.acquire(self.engine, self._view(), "last", by_force=True)
        assert last
        while True:
            cursor = self._view().cursor
            page = self.server.page(cursor, 10)
            pages.commit_page(self.engine, last, page, after=cursor, api_version="v2")
            if not page.has_more:
                break
        with self.engine.connect() as connection:
            kept = connection.execute(text("SELECT uuid, body FROM events")).all()
        assert sorted(map(tuple, kept)) == sorted((event.uuid, event.body) for event in self.server.arrived)
        self.engine.dispose()
        shutil.rmtree(self.directory)

    def _view(self) -> streams.StreamView:
        return streams.of_source(self.engine, SOURCE.id, (Api.AUDIT,))[0]


Collecting.TestCase.settings = settings(
    max_examples=40, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
test_any_interleaving = Collecting.TestCase
