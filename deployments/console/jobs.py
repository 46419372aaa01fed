"""What operators have started: each runs in a thread, and every page shows it until it has ended.

An action that ends within a moment is answered with its result. A longer one goes on while the operator reads on.
"""

from __future__ import annotations

import contextvars
import secrets
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from blocks import clock
from blocks.errors import SourceError
from blocks.store import audit_log

if TYPE_CHECKING:
    from collections.abc import Callable

KEPT = 200
"""Ended jobs that can still be looked up."""
WAIT_SECONDS = 1.5


@dataclass
class Job:
    """One action. `state` is running, done or failed; `text` is reported to the operator; times in ns since 1970."""

    id: str
    title: str
    actor: str
    started_ns: int
    state: str = "running"
    text: str = ""
    hint: str = ""
    progress: float | None = None
    """The part that is done, from 0 to 1, where it is known."""
    result: object = None
    """What it found, for the page that shows it."""
    ended_ns: int | None = None
    ended: threading.Event = field(default_factory=threading.Event, repr=False)


class Jobs:
    """Starts jobs and remembers the last ones. They are lost when the console restarts; the audit log stays."""

    def __init__(self) -> None:
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._lock = threading.Lock()

    def start(self, title: str, actor: str, work: Callable[[Job], str]) -> Job:
        """Run `work` in a thread, as `actor`. It returns the text of its result, and may raise SourceError."""
        job = Job(secrets.token_urlsafe(9), title, actor, clock.now_ns())
        with self._lock:
            self._jobs[job.id] = job
            while len(self._jobs) > KEPT:
                self._jobs.popitem(last=False)
        context = contextvars.copy_context()
        threading.Thread(target=context.run, args=(_run, job, work), daemon=True, name=f"console {title}").start()
        job.ended.wait(WAIT_SECONDS)
        return job

    def find(self, job_id: str) -> Job | None:
        with self._lock:
            return self._jobs.get(job_id)

    def running(self) -> list[Job]:
        """The oldest first."""
        with self._lock:
            return [job for job in self._jobs.values() if job.state == "running"]


def _run(job: Job, work: Callable[[Job], str]) -> None:
    try:
        with audit_log.acting_as(job.actor):
            job.text = work(job)
        job.state = "done"
    except SourceError as error:
        job.text, job.hint, job.state = error.message, error.hint or "", "failed"
    except Exception as error:  # noqa: BLE001 - reported to the operator, like every other failure
        job.text, job.state = f"It failed: {type(error).__name__}.", "failed"
        job.hint = "The server's log has the details." if str(error) else ""
        threading.excepthook(threading.ExceptHookArgs((type(error), error, error.__traceback__, None)))
    finally:
        job.ended_ns = clock.now_ns()
        job.ended.set()
