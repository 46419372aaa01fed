"""Creates what the Prefect server needs before the worker of `up` starts: blocks, deployments, automations.

A process of its own: `up` itself does not import Prefect, which would cost it a hundred megabytes for as long as it
runs. The output is for the terminal of `up`.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress

from prefect.client.orchestration import get_client

from blocks.errors import SourceError
from deployments import sources
from deployments.prefect_api import automations, deploy, source_runs

SHOWN = 10
NO_SOURCE = "There is no source yet. Create one, in another terminal, with: onepassword-source apply source.json"


def prepare() -> None:
    """Create what is missing, and update what an older version created. Raises SourceError and Prefect's own errors."""
    with get_client(sync_client=True) as client:
        deploy.ensure_work_pool(client, local=True)
    sources.register_blocks(siems=True)
    names = sources.deploy_all()
    for warning in automations.ensure().warnings:
        _say(warning)
    _say(f"Collecting every five minutes: {_some(names)}." if names else NO_SOURCE)
    with suppress(
        SourceError
    ):  # the store may become available later; `up` does not wait for it, and the schedules collect then
        if due := source_runs.create_due_runs(sources.open_default_store()):
            _say(f"Collecting at once, because their last read is too old: {_some(due)}.")


def _some(names: list[str]) -> str:
    more = f", and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    """Exit code 1, with a message on standard output, if it fails."""
    os.umask(0o077)
    try:
        prepare()
    except SourceError as error:
        _say(str(error))
        sys.exit(1)


if __name__ == "__main__":
    main()
