"""The retries of a failing API in words: which attempt failed, and when the next one is due."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blocks import retry_window
from deployments.terminal_output import format_time

if TYPE_CHECKING:
    from blocks.store.forwarding.forward_status import PositionStatus
    from blocks.store.source_status import StreamStatus


def retry_line(status: StreamStatus | PositionStatus) -> str | None:
    """The last attempt, the next one, and when retries end; None if it does not fail or is not retried."""
    if not status.is_retried or status.failing_since_ns is None:
        return None
    parts = [
        f"failing since {clock_of(status.failing_since_ns)}",
        f"attempt {status.failed_attempts:,} failed at {clock_of(status.error_ns)}",
        f"attempt {next_attempt(status)}",
        f"gives up {clock_of(status.failing_since_ns + retry_window.NS)}, if no attempt succeeds",
    ]
    return f"{status.api}: {', '.join(parts)} (UTC)."


def next_attempt(status: StreamStatus | PositionStatus) -> str:
    """Which attempt is next, and when: `3 by 14:14:20`."""
    when = "now, or with the next run" if status.retries_ns is None else f"by {clock_of(status.retries_ns)}"
    return f"{status.failed_attempts + 1:,} {when}"


def clock_of(ns: int | None) -> str:
    """The time of day in UTC, to the second."""
    return format_time(ns)[11:19]
