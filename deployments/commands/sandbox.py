"""`onepassword-source sandbox`: the fake Events API, with its own flags."""

from __future__ import annotations

import json
import sys

from blocks.events_api.sandbox import __main__ as program
from deployments.commands.present import OUT


def run(arguments: list[str]) -> int:
    """Serve until Ctrl-C. On a terminal it tells how to use it; elsewhere it prints one JSON line."""
    return program.main(arguments, prog="onepassword-source sandbox", ready=_tell if sys.stdout.isatty() else None)


def _tell(base_url: str, token: str) -> None:
    config = {
        "name": "sandbox",
        "base_url": base_url,
        "api_token": token,
        "supported_apis": ["sign-in", "itemUsage", "audit"],
        "collect_from": "7d",
    }
    document = {"source": {"sourceType": "Universal", "schemaRef": {"type": "1Password"}, "config": config}}
    OUT.print(f"The sandbox listens on {base_url}. Its token is in this configuration:\n", markup=False)
    print(json.dumps(document, indent=2))
    OUT.print(f"\nFaults on demand: curl {base_url}/_sandbox/faults   Stop it with Ctrl-C.", markup=False)
