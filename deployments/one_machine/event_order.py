"""In which order Prefect's server judges the events of a run: as Prefect does, but it waits for none that never comes.

The event of a state names the event of the state before it, if that is less than five minutes old, and waits for it for
a quarter of an hour. The scheduler plans runs without an event. So of a run that was planned less than five minutes
before it began, as the first one of a source or after a pause, the automation "dead runs" would see the heartbeats but
not the end, and take it for dead. Prefect's setting `server.events.causal_ordering` names this module.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prefect.server.events.ordering import memory

if TYPE_CHECKING:
    from prefect.server.events.schemas.events import ReceivedEvent

OF_A_RUN = "prefect.flow-run."
PLANNED = "SCHEDULED"


class CausalOrdering(memory.CausalOrdering):
    """Prefect's own, in the memory of the server."""

    async def wait_for_leader(self, event: ReceivedEvent) -> None:
        """Raise EventArrivedEarly while an event that comes first is still to come."""
        if not _follows_a_plan(event):
            await super().wait_for_leader(event)


def _follows_a_plan(event: ReceivedEvent) -> bool:
    intended = event.payload.get("intended")
    return event.event.startswith(OF_A_RUN) and isinstance(intended, dict) and intended.get("from") == PLANNED
