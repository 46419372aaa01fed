"""The health events, and the errors of runs."""

from __future__ import annotations

from support.reference.markdown import code, table

from blocks.error_kinds import ERROR_KINDS
from blocks.health_event_kinds import HEALTH_EVENT_KINDS


def kinds() -> str:
    rows = [
        (_codes(kind.name), kind.severity, _codes(kind.tracker), kind.begins, kind.ends, kind.hint)
        for kind in HEALTH_EVENT_KINDS
    ]
    return table(("eventName", "severity", "tracker", "begins when", "ends when", "what to do"), rows)


def errors() -> str:
    return table(
        ("error", "causes", "what happens"), ((code(one.name), one.causes, one.consequence) for one in ERROR_KINDS)
    )


def _codes(names: str) -> str:
    """Names as code; a phrase such as `as the event it ends` stays as it is."""
    return names if " " in names.replace(", ", "") else ", ".join(code(name) for name in names.split(", "))
