"""`onepassword-source demo`: the whole way once, from the sandbox into a store in ./.demo."""

from __future__ import annotations

import json
import os
from itertools import islice
from pathlib import Path

from blocks import clock, settings
from blocks.events_api.sandbox.process import running_sandbox
from blocks.store import reading
from deployments.commands import apply, collect, events
from deployments.commands.present import OUT

NAME = "demo"
DIRECTORY = Path(".demo")
SHOWN = 8


def run() -> int:
    """Collect from a sandbox, and show what came. It starts with an empty store each time."""
    _use_own_directory()
    with running_sandbox(events=3000, days=3) as sandbox:
        OUT.print(f"A sandbox Events API with made-up events listens on {sandbox.base_url}.", markup=False)
        apply.run(_configuration(sandbox.base_url, sandbox.token), token=None, as_json=False)
        OUT.print(f"\n$ onepassword-source collect {NAME}", style="bold")
        code = collect.run(NAME, as_json=False)
    _show_events()
    _show_what_next()
    return code


def _use_own_directory() -> None:
    DIRECTORY.mkdir(mode=0o700, exist_ok=True)
    for name in ("PREFECT_API_URL", "PREFECT_API_AUTH_STRING", settings.PREFIX + "DATABASE_URL"):
        os.environ.pop(name, None)
    os.environ[settings.PREFIX + "DATA_DIR"] = str(DIRECTORY.absolute())
    for path in DIRECTORY.glob("events.db*"):
        path.unlink()


def _configuration(base_url: str, token: str) -> Path:
    config = {
        "name": NAME,
        "description": "Made-up events of the sandbox",
        "base_url": base_url,
        "api_token": token,
        "supported_apis": ["sign-in", "itemUsage", "audit"],
        "collect_from": "7d",
    }
    document = {"source": {"sourceType": "Universal", "schemaRef": {"type": "1Password"}, "config": config}}
    path = DIRECTORY / "source.json"
    path.unlink(missing_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:  # noqa: PTH123 - needs a mode
        json.dump(document, file, indent=2)
    return path


def _show_events() -> None:
    OUT.print(f"\n$ onepassword-source events {NAME} --since 12h | head -{SHOWN + 1}", style="bold")
    engine = reading.open_store()
    streams = reading.sources(engine, NAME)[0].streams
    since_ns = clock.now_ns() - 12 * 3600 * 10**9
    events.print_table(islice(reading.events(engine, streams, since_ns=since_ns), SHOWN))


def _show_what_next() -> None:
    OUT.print("\nWhat next", style="bold")
    OUT.print(
        f"  Look at these events    sqlite3 {DIRECTORY}/events.db 'select * from sign_in_attempts limit 3'\n"
        "  Collect your own        write source.json (README: Configuration), then\n"
        "                          .venv/bin/onepassword-source apply source.json\n"
        "                          .venv/bin/onepassword-source up\n"
        "  All commands            .venv/bin/onepassword-source --help",
        markup=False,
    )
