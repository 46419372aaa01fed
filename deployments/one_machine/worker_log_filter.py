"""Selects the lines of the worker's log for the terminal of `up`: runs that found something or failed, and warnings.

Of the runs that found nothing new, one a minute is shown, with the number of the others. Hundreds of sources would fill
a terminal, and no line at all would look as if nothing ran.
"""

from __future__ import annotations

import re

IDLE_EVERY_SECONDS = 60.0
_ENDED = re.compile(
    r"""^(?P<time>\S+) \| (?P<run>.*): Finished in state (?P<state>\w+)\((?P<quote>['"])(?P<text>.*)(?P=quote)"""
)
_SHOWN = re.compile(r"^Worker .* (started|stopped)!|^\S+ WARNING ")
_OUTCOME = re.compile(r"[A-Z]\w*: ")  # which a message of ours begins with
_IN_ERROR = re.compile(r"^\S+ .+?: (\w+Error: |Failed\. |Crashed\. )")
_IDLE = re.compile(r"Collected: 0 new events \([^)]*\)(, the newest [^.;]*)?\.$")


def line_level(shown: str) -> str:
    """The level of a line that is shown: error for a run in error, warning for what Prefect calls one."""
    if _IN_ERROR.search(shown):
        return "error"
    return "warning" if re.match(r"\S+ WARNING ", shown) else "info"


class WorkerLogFilter:
    """Decides line by line. Not thread-safe."""

    def __init__(self) -> None:
        self._idle_until = 0.0
        self._left_out = 0

    def lines(self, line: str, now: float) -> list[str]:
        """What to show of a line of the log. `now` is in seconds of a monotonic clock."""
        ended = _ENDED.match(line)
        if ended is None:
            return [line] if _SHOWN.search(line) else []
        text = ended["text"] if _OUTCOME.match(ended["text"]) else f"{ended['state']}. {ended['text']}"
        shown = f"{ended['time']} {ended['run']}: {text}"
        return self._idle(shown, now) if _IDLE.match(ended["text"]) else [shown]

    def _idle(self, shown: str, now: float) -> list[str]:
        if now < self._idle_until:
            self._left_out += 1
            return []
        self._idle_until = now + IDLE_EVERY_SECONDS
        left_out, self._left_out = self._left_out, 0
        runs = "run has" if left_out == 1 else "runs have"
        return [f"{shown} (Since the last such line {left_out} more {runs} found nothing new.)" if left_out else shown]
