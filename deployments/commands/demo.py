"""`onepassword-source demo`: apply, collect and show events once, from the sandbox into a store in ./.demo."""

from __future__ import annotations

import json
import os
import sys
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from blocks import clock, settings
from blocks.command_line import PROGRAM
from blocks.store import source_status
from deployments.commands import apply, collect
from deployments.commands.sandbox import source_configuration
from deployments.event_formats import write_table
from deployments.exit_codes import DONE
from deployments.prefect_session import ignoring_ctrl_c
from deployments.sandbox.process import running_sandbox
from deployments.terminal_output import OUT, print_line, with_spinner

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deployments.sandbox.process import SandboxProcess

NAME = "demo"
DIRECTORY = Path(".demo")
SHOWN = 8

DETAILS = "It needs no account."


def command() -> int:
    """Collect from a sandbox and show the events. Each demo starts with an empty store."""
    _use_own_directory()
    program = _program()  # before `apply` changes the working directory
    with _sandbox() as sandbox:
        print_line(f"A sandbox Events API with made-up events listens on {sandbox.base_url}.")
        _print_command(f"apply {DIRECTORY}/source.json")
        apply.apply(_write_configuration(sandbox), token=None)
        _print_command(f"collect {NAME}")
        code = collect.command(NAME, as_json=False)
    if code == DONE:
        _show_events()
        _show_what_next(program)
    return code


def _use_own_directory() -> None:
    DIRECTORY.mkdir(mode=0o700, exist_ok=True)
    for name in [name for name in os.environ if name.startswith((settings.PREFIX, "PREFECT_"))]:
        if name != "PREFECT_LOGGING_LEVEL":
            del os.environ[name]
    os.environ[settings.PREFIX + "DATA_DIR"] = str(DIRECTORY.absolute())
    for path in DIRECTORY.glob("events.db*"):
        path.unlink()


@contextmanager
def _sandbox() -> Iterator[SandboxProcess]:
    running = running_sandbox(events=3000, days=3)

    def start() -> SandboxProcess:
        with ignoring_ctrl_c():
            return running.__enter__()

    sandbox = with_spinner("Starting the sandbox…", start)
    try:
        yield sandbox
    finally:
        running.__exit__(None, None, None)


def _write_configuration(sandbox: SandboxProcess) -> Path:
    about = "Made-up events of the sandbox"
    document = source_configuration(NAME, sandbox.base_url, sandbox.token, description=about)
    path = DIRECTORY.absolute() / "source.json"
    path.unlink(missing_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:  # noqa: PTH123 - needs a mode
        json.dump(document, file, indent=2)
    return path


def _show_events() -> None:
    _print_command(f"events {NAME} --since 12h | head -{SHOWN + 1}")
    since_ns = clock.now_ns() - 12 * 3600 * 10**9
    with source_status.opened_store() as engine:
        streams = source_status.sources(engine, NAME)[0].streams
        write_table(islice(source_status.events(engine, streams, since_ns=since_ns), SHOWN), sys.stdout, OUT.width)


def _show_what_next(program: str) -> None:
    print_line("\nWhat next", style="bold")
    print_line("See these events as JSON, one on each line, byte for byte as received:")
    print_line(f"  {settings.PREFIX}DATA_DIR={DIRECTORY} \\\n    {program} events {NAME} --format ndjson")
    print_line(f"Collect your own: write a source.json as in `{program} apply --help`:")
    print_line(f"  {program} apply source.json")
    print_line(f"  {program} up")


def _print_command(arguments: str) -> None:
    print_line(f"\n$ {PROGRAM} {arguments}", style="bold")


def _program() -> str:
    """How this program was called, so that you can copy the printed commands."""
    called = Path(sys.argv[0])
    if called.name != "onepassword-source":
        return "onepassword-source"
    try:
        return str(called.relative_to(Path.cwd())) if called.is_absolute() else sys.argv[0]
    except ValueError:
        return "onepassword-source"
