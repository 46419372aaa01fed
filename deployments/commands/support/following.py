"""What commands with `--follow` do between two looks."""

from __future__ import annotations

import select
import sys
import time

POLL_SECONDS = 1


def wait_for_more() -> None:
    """A second, or less where nobody reads standard output any more: then raises BrokenPipeError."""
    try:
        poll = select.poll()
        poll.register(sys.stdout.fileno(), 0)  # asks for nothing but what is always told: errors and hang-ups
    except (AttributeError, OSError):  # no poll on this system, or no real file
        time.sleep(POLL_SECONDS)
        return
    if any(told & (select.POLLERR | select.POLLHUP) for _, told in poll.poll(POLL_SECONDS * 1000)):
        raise BrokenPipeError
