"""A pair of source and SIEM with events that wait, and the fixtures of `support.stored_block`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.forwarding import Pair
from support.stored_block import stored

from blocks.events_api.models import Api

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Engine

__all__ = ["stored"]


@pytest.fixture
def pair(engine: Engine, made_once: Callable[[str, Callable[[Engine], Pair]], Pair]) -> Pair:
    """35 events of audit among those of others."""

    def make(engine: Engine) -> Pair:
        new_pair = Pair.create(engine)
        for number in (10, 3, 12, 10):
            new_pair.filled.commit(Api.SIGN_IN, 2)
            new_pair.filled.commit(Api.AUDIT, number)
        return new_pair

    made = made_once("pair", make)
    return Pair(engine, made.record, made.filled.of(engine))
