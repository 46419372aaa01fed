"""The findings on the Prefect server, and the words that the checks of it share. Nothing here imports Prefect."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from deployments.checks.finding import Finding, not_checked

if TYPE_CHECKING:
    from blocks.source import OnePasswordSource
    from deployments.prefect_api.server_access import PrefectAccess

STEP = "Prefect server"
REFUSED = (401, 403)
RUN_UP = "Start `onepassword-source up`, or contact the person who runs the server."
APPLY = "Apply the source again: `onepassword-source apply FILE`."


@dataclass(frozen=True, slots=True)
class ServerFindings:
    """The findings, and the block of the source if there is one, valid or not.

    `exists` is False only if the server has answered that there is no such source.
    """

    server: Finding
    configuration: Finding
    schedule: Finding
    runner: Finding
    block: OnePasswordSource | None = field(default=None, repr=False)
    exists: bool = True


def not_reached(server: Finding, *, exists: bool = True) -> ServerFindings:
    why = "the Prefect server was not reached"
    configuration, schedule, runner = (not_checked(step, why) for step in ("configuration", "schedule", "runner"))
    return ServerFindings(server, configuration, schedule, runner, exists=exists)


def server_label(access: PrefectAccess) -> str:
    return f"The Prefect server at {shown_url(access)}" if access.url else "The temporary Prefect server"


def shown_url(access: PrefectAccess) -> str:
    """The URL without user and password, which some URLs hold."""
    scheme, _, rest = (access.url or "").partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"
