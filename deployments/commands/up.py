"""`onepassword-source up`."""

from __future__ import annotations

from deployments.commands.prefect_server import quiet_prefect
from deployments.commands.present import note
from deployments.up import up


def run() -> None:
    """Run everything until Ctrl-C."""
    quiet_prefect()
    up(_deploy, note)


def _deploy() -> None:
    from deployments import sources  # noqa: PLC0415 - imports Prefect

    sources.register_blocks()
    names = sources.deploy_known()
    if names:
        note(f"Collecting every five minutes: {', '.join(names)}.")
    else:
        note("There is no source yet. Create one, in another terminal, with: onepassword-source apply source.json")
