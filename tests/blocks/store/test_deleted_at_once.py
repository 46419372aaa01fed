"""A source that is deleted or purged while runs, a prune, another purge or an `apply` have it in hand."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text
from support.at_once import WAIT, Halt, at_once, meeting
from support.values import SOURCE

from blocks.errors import ThirdPartyConfigError
from blocks.events_api.models import Api, Event, Page
from blocks.store import claims, lifecycle, pages, prune, sources, streams
from blocks.store.backfill import jobs, windows
from blocks.store.backfill.jobs import BACKFILL, JobRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Connection, Engine

    from blocks.store.lifecycle import SourceIdentity
    from blocks.store.streams import StreamView

    Rows = Callable[[str], list[tuple[object, ...]]]

DAY = 86_400 * 10**9
END = 20_000 * DAY
COUNTS = "SELECT (SELECT count(*) FROM sources), (SELECT count(*) FROM events), (SELECT count(*) FROM pruned_events)"


def filled(engine: Engine, events: int) -> StreamView:
    """SOURCE with so many events of long ago in one stream; a purge takes them by the thousand."""
    sources.save(engine, SOURCE)
    view = streams.of_source(engine, SOURCE.id, (Api.SIGN_IN,))[0]
    claim = streams.acquire(engine, view, "run-0")
    assert claim
    events_of_page = [Event(f"UUID{number}", number + 1, "{}") for number in range(events)]
    page = Page("c1", has_more=False, events=events_of_page, invalid_items=[])
    pages.commit_page(engine, claim, page, after=None, api_version="v2")
    streams.release(engine, claim)
    with engine.begin() as connection:
        connection.execute(text("UPDATE events SET received_ns = 5"))
    return view


def find_identity(engine: Engine) -> SourceIdentity:
    identity = lifecycle.find(engine, SOURCE.name)
    assert identity
    return identity


def deleted(engine: Engine) -> SourceIdentity:
    lifecycle.finish_deletion(engine, find_identity(engine))
    return find_identity(engine)


class KilledError(Exception):
    """The process ends here."""


def test_a_purge_is_whole_though_another_one_was_killed_in_the_middle(
    engines: tuple[Engine, Engine], rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(engines[0], 2500)
    deletion = deleted(engines[0])
    real, in_batch = lifecycle.writing, threading.Event()

    @contextmanager
    def writing(engine: Engine) -> Iterator[Connection]:
        """The first one's process ends behind its first batch of events, which it commits late."""
        with real(engine) as connection:
            yield connection
            remaining = connection.scalar(text("SELECT count(*) FROM events"))
            if ends := engine is engines[0] and remaining == 1500:
                in_batch.set()
                time.sleep(WAIT)
        if ends:
            raise KilledError

    monkeypatch.setattr(lifecycle, "writing", writing)

    def first() -> None:
        with pytest.raises(KilledError):
            lifecycle.purge(engines[0], deletion)

    def second() -> None:
        assert in_batch.wait(30)
        lifecycle.purge(engines[1], find_identity(engines[1]))

    at_once(first, second)
    assert rows(COUNTS) == [(0, 0, 0)]


def test_a_purge_is_whole_though_a_prune_removes_what_it_wants_to(
    engines: tuple[Engine, Engine], rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(engines[0], 2500)
    lifecycle._begin_purge(engines[1], deleted(engines[1]))
    (target,) = [one for one in prune.targets(engines[0]) if one.api == Api.SIGN_IN]
    monkeypatch.setattr(prune, "_keep_digests", halt := Halt(prune._keep_digests))
    halt.overtaken(
        lambda: list(prune.prune(engines[0], target, prune.parse_rule("200d"))),
        by=lambda: lifecycle.purge(engines[1], find_identity(engines[1])),
    )
    assert rows(COUNTS) == [(0, 0, 0)]


@pytest.mark.parametrize("purged", [False, True])
def test_no_run_takes_what_was_deleted_since_it_looked(engines: tuple[Engine, Engine], purged: bool) -> None:
    view = filled(engines[0], 3)
    deletion = deleted(engines[1])
    if purged:
        lifecycle._begin_purge(engines[1], deletion)
    assert streams.acquire(engines[0], view, "run-1") is None
    (now,) = streams.of_source(engines[0], SOURCE.id, (Api.SIGN_IN,))
    assert now.claim_expires_ns is None


def test_no_window_is_taken_of_what_is_deleted_while_it_is_looked_for(
    engines: tuple[Engine, Engine], rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL finds the window before the deletion, and waits for its row until after it."""
    sources.save(engines[0], SOURCE)
    job = jobs.start(engines[0], JobRequest(BACKFILL, SOURCE.id, (Api.AUDIT,), END - DAY, END), DAY)
    if engines[0].dialect.name == "sqlite":
        deleted(engines[1])
    else:
        real = claims.is_free
        slow = text("pg_sleep(0.5) IS NOT NULL")
        monkeypatch.setattr(claims, "is_free", lambda *arguments: real(*arguments) & slow)
    window_claims = at_once(
        lambda: windows.acquire(engines[0], job.id, "run-1"), lambda: (time.sleep(0.25), deleted(engines[1]))
    )
    assert window_claims[0] is None
    assert rows("SELECT holder FROM windows") == [(None,)]


def test_what_was_recreated_is_not_purged(engines: tuple[Engine, Engine], rows: Rows) -> None:
    view = filled(engines[0], 3)
    deletion = deleted(engines[0])
    sources.save(engines[1], SOURCE, revive=True)
    claim = streams.acquire(engines[1], view, "run-1")
    assert claim
    with pytest.raises(ThirdPartyConfigError, match="'1Pass' was created again or purged meanwhile"):
        lifecycle.purge(engines[0], deletion)
    assert rows(COUNTS) == [(1, 3, 0)]
    streams.renew(engines[1], claim)


def test_what_is_being_purged_is_not_recreated(
    engines: tuple[Engine, Engine], rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Either the purge begins, or the source is there again: never both."""
    filled(engines[0], 3)
    deletion = deleted(engines[0])
    monkeypatch.setattr(sources, "_require_not_deleted", halt := Halt(sources._require_not_deleted, behind=True))

    def purge() -> None:
        with pytest.raises(ThirdPartyConfigError):
            lifecycle._begin_purge(engines[1], deletion)

    halt.overtaken(lambda: sources.save(engines[0], SOURCE, revive=True), by=purge)
    assert rows("SELECT state, deleted_ns FROM sources") == [("Pending", None)]
    assert rows("SELECT count(*) FROM audit_log WHERE action = 'purge'") == [(0,)]


def test_a_changed_configuration_is_new_to_one_run_alone(
    engines: tuple[Engine, Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    sources.save(engines[0], SOURCE)
    changed = replace(SOURCE, fingerprint="second")
    monkeypatch.setattr(sources, "_require_not_deleted", meeting(sources._require_not_deleted))
    assert sorted(at_once(*(lambda engine=engine: sources.save(engine, changed) for engine in engines))) == [
        False,
        True,
    ]
