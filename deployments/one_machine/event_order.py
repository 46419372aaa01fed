"""The order in which Prefect's server evaluates the events of a run: Prefect's own, without a wait for missing events.

The event of a state names the event of the state before it. If that state is less than five minutes old, Prefect waits
up to a quarter of an hour for its event. But the scheduler plans runs without an event. So if a run was planned less
than five minutes before it began, such as the first run of a source, the automation "dead runs" would see its
heartbeats but not its end, and end it. Prefect's setting `server.events.causal_ordering` names this module.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prefect.server.events.ordering import memory

if TYPE_CHECKING:
    from prefect.server.events.schemas.events import ReceivedEvent

OF_A_RUN = "prefect.flow-run."
PLANNED = "SCHEDULED"


class CausalOrdering(memory.CausalOrdering):
    """Prefect's own ordering, in the memory of the server."""

    async def wait_for_leader(self, event: ReceivedEvent) -> None:
        """Raise EventArrivedEarly while the event that comes first has not arrived."""
        if not _follows_a_plan(event):
            await super().wait_for_leader(event)


def _follows_a_plan(event: ReceivedEvent) -> bool:
    intended = event.payload.get("intended")
    return event.event.startswith(OF_A_RUN) and isinstance(intended, dict) and intended.get("from") == PLANNED
