"""The checks of `onepassword-source check`, in a process of its own, and the last result of each source.

A process of its own, because `check` starts a temporary Prefect server where none runs, and sets its environment.
"""

from __future__ import annotations

import subprocess
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from blocks import clock, python_process, settings
from blocks.errors import FirstPartyGenericError
from deployments import private_file
from deployments.exit_codes import DONE, IN_ERROR
from deployments.rotating_log import last_line

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SECONDS = 180.0
"""`check` limits each of its steps itself, and all of them together take less."""
WORST = ("failed", "warning", "not checked", "ok")


class CheckStep(NamedTuple):
    """The result of a step (ok, warning, failed, not checked); for a warning or a failure, what to do."""

    step: str
    result: str
    description: str
    hint: str


class CheckResult(NamedTuple):
    """What a check of a source has found, and when (ns since 1970)."""

    time_ns: int
    findings: tuple[CheckStep, ...]

    @property
    def worst(self) -> str:
        """The worst result of a step. Steps that were not checked have a cause that is worse."""
        return min((one.result for one in self.findings), key=WORST.index, default="ok")


class CheckResults:
    """The last result of each source, by its id. A file keeps them, so that they survive a restart of the console."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file or settings.data_dir() / "check-results.json"
        self._lock = threading.Lock()
        self._results = _read(self._file)

    def all(self) -> Mapping[str, CheckResult]:
        """By the ids of the sources."""
        with self._lock:
            return dict(self._results)

    def check(self, source_id: str, name: str) -> CheckResult:
        """Check a source now. Raises FirstPartyGenericError if `check` itself does not work."""
        result = CheckResult(clock.now_ns(), read_findings(name))
        with self._lock:
            self._results[source_id] = result
            with suppress(OSError):  # the page still shows it; a full disk has a finding of its own
                private_file.replace(self._file, msgspec.json.encode(self._results))
        return result


def _read(file: Path) -> dict[str, CheckResult]:
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, CheckResult])
    except (OSError, msgspec.MsgspecError):
        return {}


def read_findings(name: str) -> tuple[CheckStep, ...]:
    """The findings of `onepassword-source check NAME`."""
    command = python_process.command("deployments.cli", "check", "--json", "--", name)
    try:
        done = subprocess.run(
            command, capture_output=True, timeout=SECONDS, check=False, stdin=subprocess.DEVNULL, text=True
        )
    except subprocess.TimeoutExpired:
        raise FirstPartyGenericError(
            f"The check did not end within {SECONDS:.0f} s.", hint="Run `onepassword-source check` on this machine."
        ) from None
    if done.returncode not in {DONE, IN_ERROR}:
        raise FirstPartyGenericError(f"The check did not work: {last_line(done.stderr)}")
    try:
        checks = msgspec.json.decode(done.stdout)["checks"]
        return tuple(CheckStep(one["step"], one["result"], one["description"], one["hint"] or "") for one in checks)
    except (msgspec.DecodeError, KeyError, TypeError):
        raise FirstPartyGenericError(f"The check did not work: {last_line(done.stderr)}") from None
