"""The deployment of the flow `prune`. It exists only after `prune --schedule`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deployments.prefect_api.deploy import Change, deploy_spec, remove_by_name
from deployments.prefect_api.templates import PRUNE, read_template

if TYPE_CHECKING:
    from blocks.store.prune import PruneTarget


def deploy(older_than: str, cron: str, source: PruneTarget | None) -> Change:
    """Create or update the schedule of one source, or that of all sources."""
    template = read_template(PRUNE)
    about = f"of {source.source_name} " if source else ""
    source_id = source.source_id if source else None
    return deploy_spec(
        {
            **template,
            "name": _name(source_id),
            "description": f"Removes events {about}that are older than {older_than}.",
            "parameters": {"older_than": older_than, "source": source_id},
            "schedules": [{**template["schedules"][0], "cron": cron, "active": True}],
        }
    )


def remove(source_id: str | None) -> bool:
    """Remove the schedule of one source, or that of all sources. False if there is none."""
    return remove_by_name(PRUNE, _name(source_id))


def _name(source_id: str | None) -> str:
    # By id: the name stays valid if the source is renamed, or deleted with its events kept.
    return f"source {source_id}" if source_id else "all sources"
