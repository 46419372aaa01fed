"""The log of a run in this process, beside what its command prints."""

from __future__ import annotations

import logging
import os
import re
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from deployments.commands.support import deferred

if TYPE_CHECKING:
    from collections.abc import Iterator

QUIET = "WARNING"
_HEALTH_ERROR = re.compile(r"Health: \S+ \(error(/[^)]*)?\)\. ")
"""As `tasks.support.publish` logs it."""


@contextmanager
def health_errors_hidden() -> Iterator[None]:
    """On a terminal an error of the source is not logged: the run's state has it, and the command prints that.

    Prefect gets the log in any case. Warnings stand in no state, so they are shown; with --debug everything is.
    """
    if not sys.stderr.isatty() or os.environ.get("PREFECT_LOGGING_LEVEL") != QUIET:
        yield
        return
    _ = deferred.collect  # imports Prefect, which sets up its logging
    handlers = logging.getLogger().handlers.copy()
    for handler in handlers:
        handler.addFilter(_is_no_health_error)
    try:
        yield
    finally:
        for handler in handlers:
            handler.removeFilter(_is_no_health_error)


def _is_no_health_error(record: logging.LogRecord) -> bool:
    return _HEALTH_ERROR.match(record.getMessage()) is None
