"""The state in which a flow run ends: Prefect's own name, and the outcome as the first word of the message.

Pages and filters of Prefect's UI ask for its own names: there a run that ends in Completed("Collected: …") is found,
and one in a state named Collected is not.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from prefect.states import Cancelled, Completed, Failed

from tasks.verdict import STOPPED, Verdict

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State

_OUTCOME = re.compile(r"([A-Z]\w*): (.*)", re.DOTALL)


def final_state(found: Verdict) -> State[Any]:
    """Failed, Cancelled or Completed, with the message "OUTCOME: SENTENCE"."""
    make = Failed if found.in_error else Cancelled if found.name == STOPPED else Completed
    return make(message=f"{found.name}: {found.message}")


def outcome_of(state: State[Any]) -> Verdict:
    """Read back what `final_state` made. Of a state that Prefect itself has set: its name, and its message."""
    message = state.message or ""
    if parts := _OUTCOME.fullmatch(message):
        return Verdict(parts[1], parts[2])
    return Verdict(state.name or "", message)
