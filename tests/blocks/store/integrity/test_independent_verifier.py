"""A verifier of forty lines, written from the README alone, finds what ours finds."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.chains import Filled, fill
from support.independent_verifier import verify
from support.values import SOURCE

from blocks.events_api.models import Api
from blocks.store import prune, sources
from blocks.store.engine import open_engine

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def path(migrated_sqlite: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(migrated_sqlite, tmp_path / "events.db"))


@pytest.fixture
def filled(path: Path) -> Iterator[Filled]:
    engine = open_engine(f"sqlite:///{path}")
    sources.save(engine, SOURCE)
    filled = fill(engine)
    filled.commit(Api.AUDIT, 4, version="v1")
    for target in prune.targets(engine):
        ids = [row[0] for row in filled.ask(f"SELECT id FROM events WHERE stream_id = {target.stream_id} AND id < 40")]
        prune._remove(engine, target, prune.RetentionRule(2**62, 2**62), prune._digests(engine, ids))
    yield filled
    engine.dispose()


CHANGES = {
    "nothing": "SELECT 1",
    "a body": "UPDATE events SET body = '{{}}' WHERE id = (SELECT max(id) FROM events)",
    "a pruned event": "DELETE FROM pruned_events WHERE event_id = 20",
    "a digest": "UPDATE pruned_events SET digest = zeroblob(32) WHERE event_id = 20",
    "a time of receipt": "UPDATE events SET received_ns = 1 WHERE id = 66",
    "a link": "DELETE FROM chain WHERE stream_id = {audit} AND number = 5",
    "the last link": "DELETE FROM chain WHERE stream_id = {audit} AND number = 7",
    "a version": "UPDATE chain SET api_version = 'v3' WHERE stream_id = {audit} AND number = 4",
}


@pytest.mark.parametrize("change", CHANGES)
def test_both_find_the_same(filled: Filled, path: Path, change: str) -> None:
    filled.change(CHANGES[change])
    ours = {api: one[0] if one else 0 for api, one in filled.damaged().items()}
    assert verify(str(path)) == ours
    assert any(ours.values()) == (change != "nothing")
