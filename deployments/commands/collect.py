"""`onepassword-source collect`: one run of the flow, in this process."""

from __future__ import annotations

import json
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from blocks.errors import SourceError, ThirdPartyConfigError
from blocks.store import reading
from deployments import prefect_access
from deployments.commands import status
from deployments.commands.present import ERROR, OUT, plain, quiet_prefect, warn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prefect.client.schemas.objects import State
    from rich.status import Status


def run(name: str, *, as_json: bool) -> int:
    """Collect once. 0 where it went well, 1 where the source is in error; ThirdPartyConfigError without the source."""
    quiet_prefect()
    access = prefect_access.activate()
    for warning in access.warnings:
        warn(warning)
    with _progress(name, "Starting a temporary Prefect server…" if access.kind == "temporary" else "Starting…"):
        state = _collect(name)
    failed = state.is_failed() or state.is_crashed()
    if as_json:
        print(json.dumps({"source": name, "state": state.name, "message": state.message, "in_error": failed}, indent=2))
    else:
        style = "bold red" if failed else "bold green"
        OUT.print(f"[{style}]{state.name}[/{style}] {plain(state.message or '')}")
        _show_streams(name)
    return 1 if failed else 0


def _collect(name: str) -> State[Any]:
    from deployments import sources  # noqa: PLC0415 - imports Prefect
    from flows.collect import collect  # noqa: PLC0415

    if sources.find(name) is None:
        raise ThirdPartyConfigError(
            f"There is no source named {name!r}.",
            hint="Create it with `onepassword-source apply FILE`; `onepassword-source status` lists those there are.",
            code="unknown-source",
        )
    state: State[Any] = collect(name, return_state=True)
    return state


def _show_streams(name: str) -> None:
    try:
        OUT.print(status.table(reading.sources(reading.open_store(), name)[0]))
    except SourceError:  # its store is elsewhere, or gone: the sentence above has said so
        return


@contextmanager
def _progress(name: str, text: str) -> Iterator[None]:
    """On a terminal, a moving sign with the number of events that the store holds of the source."""
    if not sys.stderr.isatty():
        yield
        return
    done = threading.Event()
    with ERROR.status(text) as sign:
        watcher = threading.Thread(target=_watch, args=(name, sign, done), daemon=True)
        watcher.start()
        try:
            yield
        finally:
            done.set()
            watcher.join()


def _watch(name: str, sign: Status, done: threading.Event) -> None:
    while not done.wait(0.5):
        try:
            source = reading.sources(reading.open_store(), name)[0]
        except SourceError:
            continue
        kept = sum(stream.events for stream in source.streams)
        sign.update(f"{source.state}: {kept:,} events kept")
