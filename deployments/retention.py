"""The deployment of the flow `prune`, made from the template in prune.yaml; there is none until it is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from blocks.errors import ThirdPartyConfigError
from blocks.names import deployment_name
from deployments.deploy import Change, deploy_spec, flow_name, read_template, remove_named

TEMPLATE = Path(__file__).with_name("prune.yaml")
SCHEDULES = {"daily": "17 3 * * *", "weekly": "17 3 * * 0", "monthly": "17 3 1 * *"}  # in UTC


def cron(schedule: str) -> str:
    """The cron line of a schedule. Raises ThirdPartyConfigError for one that is not known."""
    if schedule not in SCHEDULES:
        known = ", ".join(SCHEDULES)
        raise ThirdPartyConfigError(
            f"--schedule takes {known}, not {schedule!r}.",
            hint="Another time can be set in the Prefect UI, at the deployment of the flow prune.",
            code="usage",
        )
    return SCHEDULES[schedule]


def deploy(older_than: str, cron: str, source: str | None) -> Change:
    """Create or update the schedule of one source, or the one of all sources."""
    template = _template()
    about = f"of {source} " if source else ""
    return deploy_spec(
        {
            **template,
            "name": _name(source),
            "description": f"Removes events {about}that are older than {older_than}.",
            "parameters": {"older_than": older_than, "source": source},
            "schedules": [{**template["schedules"][0], "cron": cron}],
        }
    )


def remove(source: str | None) -> bool:
    """Remove the schedule of one source, or the one of all sources; False where there is none."""
    return remove_named(flow_name(_template()), _name(source))


def _template() -> dict[str, Any]:
    return read_template(TEMPLATE)


def _name(source: str | None) -> str:
    return f"source {deployment_name(source)}" if source else "all sources"
