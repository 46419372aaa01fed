"""Log lines as JSON: one object per line, in ASCII, so that a line cannot drive a terminal."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from blocks import clock

if TYPE_CHECKING:
    from collections.abc import Mapping

FIELDS = "log_fields"
"""The attribute of a log record whose members the line gets: `log.info(…, extra={FIELDS: {…}})`."""
LEVELS = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}
"""The levels, and their numbers in syslog, which the journal shows."""
STREAM = "ext://sys.stdout"
FIRST = ("time", "level", "part", "event", "source")


def json_line(message: str, *, level: str, part: str, event: str, **fields: Any) -> str:
    """The line of an event of this moment. Members that are None are left out."""
    return _line(clock.now(), {"level": level, "part": part, "event": event, **fields, "message": message})


def _line(seconds: float, members: Mapping[str, Any]) -> str:
    time = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    given = {"time": time, **{name: value for name, value in members.items() if value is not None}}
    first = {name: given[name] for name in FIRST if name in given}
    return json.dumps({**first, **given}, default=str)


class JsonLogFormatter(logging.Formatter):
    """Formats the records of a process. Its format is the name of the part: worker, server, console.

    Prefect's logging configuration makes it, by the names of its parameters.
    """

    def __init__(self, fmt: str | None = None, *_: Any, **__: Any) -> None:
        super().__init__()
        self._part = fmt or "worker"

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        run = getattr(record, "flow_run_name", None)
        found: dict[str, Any] = {
            "level": record.levelname.lower(),
            "part": "run" if run else self._part,
            "event": "log",
            "run": run,
            "task": getattr(record, "task_run_name", None),
            "logger": None if run else record.name,
            "message": record.getMessage(),
            "exception": self.formatException(record.exc_info) if record.exc_info else None,
            **getattr(record, FIELDS, {}),
        }
        return _line(record.created, found)


def prefect_settings(part: str) -> dict[str, str]:
    """The variables with which a process that imports Prefect logs in this form."""
    return {
        "PREFECT_LOGGING_HANDLERS_CONSOLE_FORMATTER": "json",
        "PREFECT_LOGGING_HANDLERS_CONSOLE_STREAM": STREAM,
        "PREFECT_LOGGING_FORMATTERS_JSON_CLASS": f"{__name__}.{JsonLogFormatter.__name__}",
        "PREFECT_LOGGING_FORMATTERS_JSON_FORMAT": part,
        "PREFECT_LOGGING_COLORS": "false",
    }


def uvicorn_settings(part: str) -> dict[str, Any]:
    """The logging of uvicorn in this form."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": JsonLogFormatter, "fmt": part}},
        "handlers": {"out": {"class": "logging.StreamHandler", "formatter": "json", "stream": STREAM}},
        "loggers": {"uvicorn": {"handlers": ["out"], "level": "WARNING", "propagate": False}},
    }
