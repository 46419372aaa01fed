"""A million events to each kind of SIEM, while its server is killed, refuses, is slow or resets, and so is the sender.

Nothing is lost; nothing is there twice where ids make it so; elsewhere no more than what was on its way at each kill,
and the batches of those requests that met with trouble.
`FORWARD_EVENTS=30000` runs it with fewer.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text
from support import siem_store, siem_targets
from support.siem_targets import HTTP, Forwarder, HttpTarget
from torture import outcome

from blocks.events_api.models import Api
from blocks.siem.configuration import block_class
from blocks.store.engine import open_engine

if TYPE_CHECKING:
    import random
    from pathlib import Path

    from support.siem_targets import Target

EVENTS = int(os.environ.get("FORWARD_EVENTS", "1000000"))
KILLS = 6

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
        kills, hits = _torment(forwarder, target, row.chance())
        arrived = target.arrived()
        with contextlib.closing(block_class(target.kind)(**target.config).get_sender()) as sender:
            limits = sender.limits
    stored, refused = _stored(url)
    row.times, row.events = kills + hits, len(stored)
    row.lost = len(stored - refused - set(arrived))
    row.twice = arrived.total() - len(arrived)
    assert set(arrived) <= stored
    assert row.lost == 0
    if target.once:
        assert row.twice == 0
    else:
        assert row.twice <= (len(Api) * limits.parallel * kills + hits) * limits.events


def _torment(forwarder: Forwarder, target: Target, chance: random.Random) -> tuple[int, int]:
    """Let it forward all, with trouble meanwhile: how often something was killed, and how many requests were hit."""
    kills = hits = 0
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
            hits += _misbehave(target, trouble)
    forwarder.finish()
    return kills, hits


_TROUBLES = ("forwarder", "server", "429", "503", "too-large", "half", "slow", "reset", "drop")


def _misbehave(target: HttpTarget, trouble: str) -> int:
    """With how many requests."""
    times = {"half": 1, "reset": 3, "drop": 3, "too-large": 3}.get(trouble, 5)
    if trouble in {"429", "503"}:
        target.behave("answer", times, status=int(trouble), headers={"Retry-After": "1"})
    elif trouble == "too-large":
        target.behave("too-large", times, bytes=50_000)
    elif trouble == "slow":
        target.behave("slow", times, seconds=1.0)
    else:
        target.behave(trouble, times)  # type: ignore[arg-type]
    return times


def _stored(url: str) -> tuple[set[str], set[str]]:
    """All events, and the rejected ones. The SIEM may have a rejected event too, from before a kill."""
    engine = open_engine(url)
    with engine.connect() as connection:
        uuids = set(connection.scalars(text("SELECT uuid FROM events")))
        refused = set(connection.scalars(text("SELECT uuid FROM rejected_events")))
    engine.dispose()
    return uuids, refused
