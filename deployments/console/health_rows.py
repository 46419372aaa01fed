"""Health events as pairs: what began, and what ended it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from blocks.health import HEALTHY

if TYPE_CHECKING:
    from collections.abc import Iterable

    from blocks.health import HealthEvent
    from blocks.store.health_log import LoggedHealthEvent


@dataclass(frozen=True, slots=True)
class HealthRow:
    """What happened, and the event that ended it. Without one, it is still open or happened once."""

    id: int
    event: HealthEvent
    open: bool
    ended: HealthEvent | None = None

    @property
    def state(self) -> str:
        """`open`, `ended`, or `once`: it was reported and does not last."""
        if self.open:
            return "open"
        return "ended" if self.ended else "once"

    @property
    def kind(self) -> str:
        """The class of the severity: its colour and its icon."""
        return "bad" if self.event.severity == "Error" else "warn"


def health_rows(logged: Iterable[LoggedHealthEvent]) -> list[HealthRow]:
    """The events that report a problem, each with what ended it; the newest first. `logged` is oldest first."""
    ended: dict[tuple[str, str], HealthEvent] = {}
    rows = []
    for one in reversed(list(logged)):
        event = one.event
        key = event.source_id, event.tracker
        if event.status == HEALTHY:
            ended[key] = event
        else:
            rows.append(HealthRow(one.id, event, one.open, ended.get(key)))
    return rows
