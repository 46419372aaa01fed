"""Log lines of JSON: one object, in ASCII, with what a record says beside its message."""

from __future__ import annotations

import json
import logging
from typing import Any

from blocks.json_log import FIELDS, JsonLogFormatter, json_line


def formatted(message: str, *arguments: object, level: int = logging.INFO, **attributes: Any) -> dict[str, Any]:
    record = logging.LogRecord("prefect.worker", level, "", 0, message, arguments, attributes.pop("exc_info", None))
    record.__dict__.update(attributes)
    line = JsonLogFormatter("worker", None, "%").format(record)
    assert "\n" not in line
    assert line.isascii()
    return dict(json.loads(line))


def test_a_line_begins_with_the_time_and_the_level() -> None:
    line = json_line("two\nlines \x1b[31m", level="warning", part="up", event="note", what=None, process="worker")
    members = json.loads(line)
    assert list(members)[:4] == ["time", "level", "part", "event"]
    assert members["message"] == "two\nlines \x1b[31m"
    assert "\x1b" not in line
    assert "what" not in members
    assert members["time"].endswith("Z")


def test_a_record_of_a_run_names_the_run_and_one_of_the_worker_its_logger() -> None:
    of_worker = formatted("polled %s", "once")
    assert (of_worker["part"], of_worker["message"], of_worker["logger"]) == ("worker", "polled once", "prefect.worker")
    of_run = formatted("ended", level=logging.ERROR, flow_run_name="collect 1Pass", task_run_name="collect audit")
    assert (of_run["part"], of_run["level"]) == ("run", "error")
    assert (of_run["run"], of_run["task"]) == ("collect 1Pass", "collect audit")
    assert "logger" not in of_run


def test_the_fields_of_a_record_are_members_of_the_line() -> None:
    members = formatted("Collected: 3", **{FIELDS: {"event": "collected", "source": "1Pass", "new": 3}})
    assert list(members)[:5] == ["time", "level", "part", "event", "source"]
    assert (members["event"], members["new"]) == ("collected", 3)


def test_an_exception_is_in_the_same_line() -> None:
    try:
        int("x")
    except ValueError as error:
        members = formatted("failed", exc_info=(ValueError, error, error.__traceback__))
    assert members["exception"].splitlines()[0] == "Traceback (most recent call last):"
