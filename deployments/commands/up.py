"""`onepassword-source up`."""

from __future__ import annotations

from deployments.commands.prefect_server import quiet_prefect
from deployments.commands.present import note
from deployments.prefect_access import door
from deployments.up import up

FEW = 10
"""So many sources are named one by one."""


def run(*, host: str, public_url: str | None) -> None:
    """Run everything until Ctrl-C."""
    at = door(host, public_url)
    quiet_prefect()
    up(_deploy, note, at)


def _deploy() -> None:
    from deployments import automations, sources  # noqa: PLC0415 - imports Prefect

    sources.register_blocks(siems=True)
    names = sources.deploy_known()
    for warning in automations.ensure().warnings:
        note(warning)
    if names:
        few = ", ".join(names) if len(names) <= FEW else f"{len(names)} sources"
        note(f"Collecting every five minutes: {few}.")
    else:
        note("There is no source yet. Create one, in another terminal, with: onepassword-source apply source.json")
