"""Forwards the streams of SOURCE to a receiver as the task `forward` does, but without Prefect and its retries.

See forks.py.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING

from pydantic import SecretStr
from receivers.sumo_logic import PATH

from blocks.errors import SourceError
from blocks.siem.delivery.prepare import Preparer
from blocks.siem.delivery.protocol import Limits
from blocks.siem.formats.event import StreamMetadata
from blocks.siem.privacy.rules import NONE
from blocks.siem.sumo_logic.block import SumoLogicSiem
from blocks.store.engine import open_engine
from blocks.store.forwarding import forward_pairs, positions
from tasks.forward import StreamForwarder

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from blocks.store.forwarding.positions import PositionView

SIEM = "soc"
LIMITS = Limits(events=40, bytes=1_000_000, parallel=4)


def do(url: str, receiver: str) -> dict[str, str]:
    """Returns the outcome by API."""
    engine = open_engine(url)
    (pair,) = forward_pairs.find_all(engine, SIEM)
    views = positions.of_pair(engine, pair.id)
    with ThreadPoolExecutor(len(views)) as pool:
        found = pool.map(lambda view: _forward(engine, view, receiver), views)
        return dict(zip([str(view.api) for view in views], found, strict=True))


def _forward(engine: Engine, view: PositionView, receiver: str) -> str:
    claim = positions.acquire(engine, view, f"forwarding {os.getpid()}")
    assert claim, "a killed one holds nothing"
    with closing(SumoLogicSiem(url=SecretStr(receiver + PATH)).get_sender()) as sender:
        sender.limits = LIMITS
        try:
            done = StreamForwarder(
                engine, claim, Preparer(sender, NONE, "raw", StreamMetadata(view.api, "1Pass"))
            ).forward()
        except SourceError as error:
            return f"{error.name}: {error}"
    return f"ok {done.sent}"
