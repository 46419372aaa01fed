"""`onepassword-source up`."""

from __future__ import annotations

from deployments.commands.prefect_server import quiet_prefect
from deployments.commands.present import note
from deployments.one_machine.up import up
from deployments.prefect_access import door


def run(*, host: str, public_url: str | None) -> None:
    """Run everything until Ctrl-C."""
    at = door(host, public_url)
    quiet_prefect()
    up(note, at)
