"""`onepassword-source sandbox`: the fake Events API. It parses its own flags."""

from __future__ import annotations

import sys
from typing import Any

import typer

from deployments.sandbox import __main__ as program
from deployments.terminal_output import print_json, print_line


def command(context: typer.Context) -> int:
    """Serve until Ctrl-C. On a terminal it prints how to use it; elsewhere, and with --json, one JSON line."""
    ready = _print_instructions if sys.stdout.isatty() else None
    try:
        return program.main(context.args, prog="onepassword-source sandbox", ready=ready)
    except SystemExit as ended:  # what argparse does after --help and wrong flags
        return int(ended.code or 0)


def source_configuration(name: str, base_url: str, token: str, **members: Any) -> dict[str, Any]:
    """The JSON for `apply` of a source that collects from a sandbox."""
    config = {
        "name": name,
        **members,
        "base_url": base_url,
        "api_token": token,
        "supported_apis": ["sign-in", "itemUsage", "audit"],
        "collect_from": "7d",
    }
    return {"source": {"sourceType": "Universal", "schemaRef": {"type": "1Password"}, "config": config}}


def _print_instructions(base_url: str, token: str) -> None:
    print_line(f"The sandbox listens on {base_url}. Its token is in this configuration:\n")
    print_json(source_configuration("sandbox", base_url, token))
    print_line("\nSave it as sandbox.json (mode 0600), then: onepassword-source apply sandbox.json")
    print_line(f"Faults on demand: curl {base_url}/_sandbox/faults   Stop it with Ctrl-C.")
    sys.stdout.flush()
