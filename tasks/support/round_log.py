"""The line of a round in a log of JSON: how many events were collected, how late, and what went wrong."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Protocol

from prefect.runtime import flow_run

from blocks import clock, settings
from blocks.json_log import FIELDS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tasks.support.drain import CollectResult

NAME = "onepassword_source.rounds"


class Outcome(Protocol):
    """The verdict on a run."""

    @property
    def name(self) -> str:
        """One word."""

    @property
    def message(self) -> str:
        """A sentence."""

    @property
    def in_error(self) -> bool:
        """True if a person must act, or the run gave up."""


def log_round(source: str, outcomes: Mapping[str, CollectResult | BaseException], verdict: Outcome) -> None:
    """Write the line, if the log is one of JSON. Counts and texts for people, never an event.

    It goes to the process's own log, and not to Prefect: its pages show the same in the states of the run.
    """
    if settings.log_format() != "json":
        return
    log = logging.getLogger(NAME)
    log.setLevel(logging.INFO)
    level = logging.ERROR if verdict.in_error else logging.WARNING if verdict.name == "Retrying" else logging.INFO
    log.log(level, "%s: %s", verdict.name, verdict.message, extra={FIELDS: _fields(source, outcomes, verdict)})


def _fields(source: str, outcomes: Mapping[str, CollectResult | BaseException], verdict: Outcome) -> dict[str, Any]:
    read = [one for one in outcomes.values() if not isinstance(one, BaseException)]
    newest = max((one.newest_ns for one in read if one.newest_ns is not None), default=None)
    return {
        "part": "run",
        "event": "failed" if verdict.in_error else verdict.name.lower(),
        "source": source,
        "run": f"collect {source}",
        "run_id": flow_run.id,
        "error": verdict.name if verdict.in_error else None,
        "new": sum(one.new for one in read),
        "known": sum(one.known for one in read),
        "quarantined": sum(one.quarantined for one in read),
        "new_by_api": {one.api: one.new for one in read},
        "failing_apis": sorted(api for api, one in outcomes.items() if isinstance(one, BaseException)) or None,
        "newest_age_seconds": None if newest is None else round(max(clock.now_ns() - newest, 0) / 1e9, 3),
        "seconds": round(max((one.seconds for one in read), default=0.0), 3),
        "logger": None,
    }
