"""Selects lines of the worker's log of JSON for the terminal of `up`: rounds, ends of other runs, and problems."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from blocks.json_log import LEVELS

if TYPE_CHECKING:
    from collections.abc import Mapping

_ENDED = "Finished in state "
_COLLECT = "collect "


def is_shown(members: Mapping[str, Any]) -> bool:
    """True for a warning, for a round, and for the end of a run that is no round (a forward, a backfill)."""
    if LEVELS.get(str(members.get("level")), LEVELS["info"]) <= LEVELS["warning"]:
        return True
    if members.get("event") != "log":
        return True
    run, message = str(members.get("run", "")), str(members.get("message", ""))
    return message.startswith(_ENDED) and not run.startswith(_COLLECT)
