"""The schedules of `prune`. Nothing here imports Prefect, so that a wrong one is refused before a server starts."""

from __future__ import annotations

from blocks.errors import ThirdPartyConfigError

SCHEDULES = {"daily": "17 3 * * *", "weekly": "17 3 * * 0", "monthly": "17 3 1 * *"}  # in UTC


def cron(schedule: str) -> str:
    """The cron line of a schedule. Raises ThirdPartyConfigError for an unknown one."""
    if schedule not in SCHEDULES:
        known = ", ".join(SCHEDULES)
        raise ThirdPartyConfigError(
            f"--schedule takes {known}, not {schedule!r}.",
            hint="Another time can be set in the Prefect UI, at the deployment of the flow prune.",
            code="usage",
        )
    return SCHEDULES[schedule]
