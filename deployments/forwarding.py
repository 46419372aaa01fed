"""The deployment of each pair of source and SIEM, and the automation that wakes it after a collection.

Prefect is imported inside the functions: its settings come from the environment (see `prefect_access.activate`).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from blocks.names import forward_name
from deployments import automations
from deployments.deploy import deploy_spec, find_named, flow_name, read_template, remove_named

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

    from sqlalchemy import Engine

    from blocks.store.forwards import Known
    from deployments.deploy import Change

TEMPLATE = Path(__file__).with_name("forward.yaml")


def deploy(source_id: str, source: str, siem: str, *, paused: bool = False) -> Change:
    """Create or update the deployment of a pair, and its automation; where nothing differs, nothing is written."""
    from prefect.client.orchestration import get_client  # noqa: PLC0415 - see the module's docstring

    change = deploy_spec(_filled(source, siem), paused=paused)
    with get_client(sync_client=True) as client:
        found = find_named(client, _flow_name(), forward_name(source, siem))
    if found is not None:
        automations.ensure_wake(source_id, source, siem, found.id)
    return change


def deploy_known(engine: Engine, source: str | None = None) -> None:
    """The same for all pairs that the store knows, or those of one source."""
    from blocks.store import forwards  # noqa: PLC0415 - 0.5 s

    for pair in forwards.known(engine, source=source):
        deploy(pair.source_id, pair.source, pair.siem, paused=pair.paused_ns is not None)


def remove(source_id: str, source: str, siem: str) -> bool:
    """Remove the deployment of a pair and its automation; False where there was none."""
    automations.remove_wake(source_id, siem)
    return remove_deployment(source, siem)


def remove_deployment(source: str, siem: str) -> bool:
    """Remove the deployment alone; False where there is none."""
    return remove_named(_flow_name(), forward_name(source, siem))


def remove_all(pairs: Iterable[Known], source: str) -> None:
    """The same for several pairs of a source, under that name of it."""
    for pair in pairs:
        remove(pair.source_id, source, pair.siem)


def set_paused(source: str, siem: str, *, paused: bool) -> bool:
    """Pause or resume its schedule; False where there is no deployment."""
    from prefect.client.orchestration import get_client  # noqa: PLC0415 - see the module's docstring

    with get_client(sync_client=True) as client:
        found = find_named(client, _flow_name(), forward_name(source, siem))
        if found is not None:
            (client.pause_deployment if paused else client.resume_deployment)(found.id)
        return found is not None


def run_now(source: str, siem: str) -> UUID | None:
    """Have a worker forward now. Returns the id of the run; None where there is no deployment."""
    from prefect.client.orchestration import get_client  # noqa: PLC0415 - see the module's docstring

    with get_client(sync_client=True) as client:
        found = find_named(client, _flow_name(), forward_name(source, siem))
        if found is None:
            return None
        return client.create_flow_run_from_deployment(found.id, name=f"forward {source} to {siem}").id


def _filled(source: str, siem: str) -> dict[str, object]:
    template = read_template(TEMPLATE)
    text = (
        f"Forwards what is new of {source} to {siem}: every five minutes, and after a collection that found something."
    )
    parameters = {"source": source, "siem": siem}
    return {**template, "name": forward_name(source, siem), "description": text, "parameters": parameters}


def _flow_name() -> str:
    return flow_name(read_template(TEMPLATE))
