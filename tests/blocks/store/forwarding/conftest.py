"""A pair of source and SIEM over a store with five pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.forwarding import Pair

from blocks.events_api.models import Api

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Engine
    from support.moving_clock import MovingClock


@pytest.fixture
def pair(engine: Engine, moving: MovingClock, made_once: Callable[[str, Callable[[Engine], Pair]], Pair]) -> Pair:
    """Four pages of two events of audit, a minute apart, and one of sign-in with the third."""

    def make(engine: Engine) -> Pair:
        created = Pair.create(engine)
        for number in range(4):
            created.filled.commit(Api.AUDIT, 2)
            if number == 2:
                created.filled.commit(Api.SIGN_IN, 3)
            moving.advance(60)
        return created

    end_ns = moving.now_ns() + 4 * 60 * 10**9
    made = made_once("four_pages", make)
    moving._now_ns = end_ns
    return Pair(engine, made.record, made.filled.of(engine))
