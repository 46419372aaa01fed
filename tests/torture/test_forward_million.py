"""A million events to each kind of SIEM, while its server is killed, refuses, is slow or resets, and so is the sender.

Nothing is lost; nothing is there twice where ids make it so; elsewhere no more than what was on its way at each kill.
`FORWARD_EVENTS=30000` runs it with fewer.
"""

from __future__ import annotations

import os
import shutil
import threading
from typing import TYPE_CHECKING

import pytest
import siem_store
import siem_targets
from siem_targets import HTTP, Forwarder, HttpTarget
from sqlalchemy import text
from torture import outcome

from blocks.store.engine import open_engine

if TYPE_CHECKING:
    import random
    from pathlib import Path

    from siem_targets import Target

EVENTS = int(os.environ.get("FORWARD_EVENTS", "1000000"))
KILLS = 6
ON_THEIR_WAY = 3 * 4 * 2000  # APIs, requests at once, and the most events of a portion: what a kill may send twice

pytestmark = [pytest.mark.torture]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with all the events; each test forwards from a copy of its own."""
    path = tmp_path_factory.mktemp("filled") / "events.db"
    siem_store.fill(f"sqlite:///{path}", EVENTS)
    return path


@pytest.mark.parametrize("kind", siem_targets.KINDS)
def test_a_million_events_to(kind: str, filled: Path, tmp_path: Path, row: outcome.Row) -> None:
    row.fault = f"forwarding to {kind}, with kills and trouble"
    shutil.copy(filled, tmp_path / "events.db")
    url = f"sqlite:///{tmp_path / 'events.db'}"
    with siem_targets.running(kind, tmp_path) as target:
        forwarder = Forwarder(url, target)
        row.times = _torment(forwarder, target, row.chance())
        arrived = target.arrived()
    stored = _stored(url)
    row.events = len(stored)
    row.lost = len(stored - set(arrived))
    row.twice = arrived.total() - len(arrived)
    assert set(arrived) == stored
    if target.once:
        assert row.twice == 0
    else:
        assert row.twice <= (row.times + 1) * ON_THEIR_WAY


def _torment(forwarder: Forwarder, target: Target, chance: random.Random) -> int:
    """Let it forward all, with trouble meanwhile; how often something was killed."""
    kills = 0
    forwarder.start()
    while kills < KILLS and forwarder.is_running():
        threading.Event().wait(chance.uniform(3.0, 9.0))
        trouble = chance.choice(_TROUBLES if target.kind in HTTP else ("forwarder", "server"))
        if trouble == "forwarder":
            forwarder.kill()
            forwarder.start()
            kills += 1
        elif trouble == "server":
            target.kill()
            target.start()
            kills += 1
        elif isinstance(target, HttpTarget):
            _misbehave(target, trouble)
    forwarder.finish()
    return kills


_TROUBLES = ("forwarder", "server", "429", "503", "too-large", "half", "slow", "reset", "drop")


def _misbehave(target: HttpTarget, trouble: str) -> None:
    if trouble in {"429", "503"}:
        target.behave("answer", 5, status=int(trouble), headers={"Retry-After": "1"})
    elif trouble == "too-large":
        target.behave("too-large", 3, bytes=50_000)
    elif trouble == "slow":
        target.behave("slow", 5, seconds=1.0)
    elif trouble == "half":
        target.behave("half", 1)
    else:
        target.behave(trouble, 3)  # type: ignore[arg-type]


def _stored(url: str) -> set[str]:
    """What a SIEM must have: all events but those that it has refused for good, which are kept as such."""
    engine = open_engine(url)
    with engine.connect() as connection:
        uuids = set(connection.scalars(text("SELECT uuid FROM events")))
        refused = set(connection.scalars(text("SELECT uuid FROM refused_events")))
    engine.dispose()
    return uuids - refused
