"""What the watchdog of `up` checks: the server's response, the worker's polls, and what runs leave in the store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from blocks import clock, settings
from blocks.errors import SourceError
from blocks.store import run_signs_by_driver

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from blocks.liveness import Judgement

SERVER_SECONDS = 10.0
OK = 200


class ProbeError(Exception):
    """A probe found a failure. The message describes it, and holds no secret."""


@dataclass(frozen=True, slots=True)
class RunActivity:
    """The sources whose runs are due: their number, those that do not run, and the newest sign of life (ns)."""

    due: int = 0
    not_running: tuple[str, ...] = ()
    newest_ns: int | None = None


@dataclass(frozen=True)
class Probes:
    """The probes. Each may hang, or raise anything.

    `server` raises ProbeError if the server does not answer. `worker` returns a value that changes with each poll, None
    before the first. `runs` takes the time since when runs could begin (ns since 1970), and writes its findings to the
    store. `disk` returns a warning if the disk will be full soon.
    """

    server: Callable[[], None]
    worker: Callable[[], int | None]
    runs: Callable[[int], RunActivity]
    disk: Callable[[], str | None] = lambda: None


def server_probe(api_url: str) -> Callable[[], None]:
    """A probe that checks whether the Prefect server at `api_url` (which ends with /api) reports that it is healthy."""
    from blocks.http.client import HttpClient  # noqa: PLC0415 - httpx, with Prefect, once its environment stands

    def probe() -> None:
        try:
            # A new connection each time, as every run makes one.
            with HttpClient(
                api_url, {}, service="The Prefect server", deadline=SERVER_SECONDS, through_proxy=False
            ) as client:
                code = client.request("GET", f"{api_url}/health").status_code
        except SourceError as error:
            raise ProbeError(error.code) from None
        if code != OK:
            raise ProbeError(f"status {code}")

    return probe


def worker_probe(heartbeat: Path) -> Callable[[], int | None]:
    """A probe that returns when the worker last touched its heartbeat file (ns). Only changes count, not the clock."""

    def probe() -> int | None:
        try:
            return heartbeat.stat().st_mtime_ns
        except FileNotFoundError:
            return None

    return probe


def probe_runs(watched_ns: int) -> RunActivity:
    """Judge the runs of all sources, and write changes to the store. Raises SourceError."""
    unchanged = run_signs_by_driver.judge_if_unchanged(settings.database_url(), watched_ns=watched_ns)
    if unchanged is not None:
        return summarize(unchanged)
    from blocks.store import run_health, source_status  # noqa: PLC0415 - 30 MB, if there is something to write or to explain

    with source_status.opened_store() as engine:
        return summarize(run_health.update_conditions(engine, watched_ns=watched_ns))


def summarize(judged: Sequence[Judgement]) -> RunActivity:
    now_ns = clock.now_ns()
    due = [one for one in judged if not one.signs.paused and not one.signs.is_final]
    newest = [max(one.signs.seen_ns(now_ns) or 0, min(one.signs.due_ns, now_ns)) for one in due]
    not_running = tuple(one.signs.name for one in due if not one.is_running)
    return RunActivity(len(due), not_running, max(newest, default=None))
