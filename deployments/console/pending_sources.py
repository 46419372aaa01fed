"""Sources that were checked and wait to be added, in memory for some minutes: no token goes back to the browser."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from blocks import clock

if TYPE_CHECKING:
    from collections.abc import Sequence

    from blocks.config.source_config import SourceConfig
    from deployments.token_check import TokenFinding

HELD_NS = 900 * 10**9
MOST = 20


@dataclass(frozen=True, repr=False)
class CheckedSource:
    """A configuration, and what its token is. `exists`: there is a source of that name, which it would change."""

    config: SourceConfig
    findings: tuple[TokenFinding, ...]
    exists: bool = False

    @property
    def is_good(self) -> bool:
        return not any(one.problem for one in self.findings)


@dataclass(frozen=True, repr=False)
class _Pending:
    session_id: str
    time_ns: int
    sources: Sequence[CheckedSource]
    add_fields: bool


class PendingSources:
    """By the id of the job that checks them. Only the session that gave them can see or add them."""

    def __init__(self) -> None:
        self._pending: dict[str, _Pending] = {}
        self._lock = threading.Lock()

    def put(self, job_id: str, session_id: str, sources: Sequence[CheckedSource], *, add_fields: bool) -> None:
        with self._lock:
            self._sweep()
            self._pending[job_id] = _Pending(session_id, clock.now_ns(), sources, add_fields)
            while len(self._pending) > MOST:
                del self._pending[next(iter(self._pending))]

    def get(self, job_id: str, session_id: str) -> tuple[Sequence[CheckedSource], bool]:
        """The sources, none if they are not there any more, and whether to add their fields."""
        with self._lock:
            self._sweep()
            found = self._pending.get(job_id)
            return (found.sources, found.add_fields) if found and found.session_id == session_id else ((), False)

    def take(self, job_id: str, session_id: str) -> tuple[Sequence[CheckedSource], bool]:
        """`get`, and forget them: they are added once."""
        found = self.get(job_id, session_id)
        if found[0]:
            with self._lock:
                self._pending.pop(job_id, None)
        return found

    def _sweep(self) -> None:
        oldest_ns = clock.now_ns() - HELD_NS
        for job_id in [key for key, one in self._pending.items() if one.time_ns < oldest_ns]:
            del self._pending[job_id]
