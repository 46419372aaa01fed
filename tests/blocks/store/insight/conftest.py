"""Indexed events, and a store whose clock a test moves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.indexed_events import NOON_NS, CollectedEvents, index_all

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from support.moving_clock import MovingClock


@pytest.fixture
def filled(engine: Engine) -> Engine:
    """A store with an indexed item usage and an indexed audit event."""
    collected = CollectedEvents(engine)
    collected.item_usage("i1", action="reveal")
    collected.audit("a1")
    index_all(engine)
    return engine


@pytest.fixture
def collected(engine: Engine, moving: MovingClock) -> CollectedEvents:
    """Collects at noon, by a clock that the test moves."""
    moving._now_ns = NOON_NS
    return CollectedEvents(engine)
