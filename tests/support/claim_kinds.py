"""All kinds of claims behind one interface: on a stream, on a window of a backfill, on a forwarding position."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from support.values import SOURCE

from blocks.events_api.models import Api
from blocks.store import sources, streams
from blocks.store.backfill import jobs, windows
from blocks.store.backfill.jobs import BACKFILL, JobRequest
from blocks.store.forwarding import forward_pairs, positions

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Engine

DAY = 86_400 * 10**9
END = 1_790_000_000 * 10**9
WANTED = JobRequest(BACKFILL, SOURCE.id, (Api.AUDIT,), END - 2 * DAY, END)
SIEM = "soc"


@dataclass(frozen=True)
class Kind:
    """`take` returns the claim, or None if another run holds it; `where` selects its row in `table`."""

    table: str
    where: str
    take: Callable[[Engine, str], Any]
    renew: Callable[[Engine, Any], None]
    release: Callable[[Engine, Any], None]

    def ask(self, columns: str) -> str:
        return f"SELECT {columns} FROM {self.table} WHERE {self.where}"


def prepare(engine: Engine) -> None:
    sources.save(engine, SOURCE)
    jobs.start(engine, WANTED, DAY)
    forward_pairs.save(engine, SOURCE.id, SIEM, "webhook", {}, "first")
    positions.of_pair(engine, forward_pairs.find_all(engine, SIEM)[0].id)


def _stream(engine: Engine, holder: str) -> Any:
    return streams.acquire(engine, streams.of_source(engine, SOURCE.id, (Api.AUDIT,))[0], holder)


def _window(engine: Engine, holder: str) -> Any:
    return windows.acquire(engine, jobs.start(engine, WANTED, DAY).id, holder)


def _position(engine: Engine, holder: str) -> Any:
    views = positions.of_pair(engine, forward_pairs.find_all(engine, SIEM)[0].id)
    return positions.acquire(engine, next(view for view in views if view.api == Api.AUDIT), holder)


_OF_AUDIT = "stream_id = (SELECT id FROM streams WHERE api = 'audit')"
KINDS = {
    "stream": Kind("streams", "api = 'audit'", _stream, streams.renew, streams.release),
    "window": Kind("windows", f"start_ns = {END - 2 * DAY}", _window, windows.renew, windows.release),
    "position": Kind("positions", _OF_AUDIT, _position, positions.renew, positions.release),
}
