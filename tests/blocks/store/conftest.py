"""Stores with events, and stores in which runs have ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.chains import Filled, fill
from support.ended_runs import end_run
from support.values import SOURCE

from blocks.store import sources

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Engine
    from support.moving_clock import MovingClock


@pytest.fixture
def ran(engine: Engine, moving: MovingClock) -> Engine:
    """A store with a source of which a run has just ended."""
    sources.save(engine, SOURCE)
    end_run(engine)
    return engine


@pytest.fixture
def filled(engine: Engine, made_once: Callable[[str, Callable[[Engine], Filled]], Filled]) -> Filled:
    """SOURCE with six pages, and so six links, in each stream."""

    def make(engine: Engine) -> Filled:
        sources.save(engine, SOURCE)
        return fill(engine)

    return made_once("filled", make).of(engine)
