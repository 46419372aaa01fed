"""`onepassword-source siem list`: from the store alone, without Prefect."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from blocks.store import reading, reading_forwards
from deployments.commands import overview
from deployments.commands.options import Json
from deployments.commands.present import note, plain, say_json, say_table
from deployments.commands.siem.status import NONE_YET, style_of

if TYPE_CHECKING:
    from blocks.store.reading_forwards import ForwardStatus

COLUMNS = ("SIEM", "type", "source", "state")


def command(as_json: Json = False) -> None:
    """Print the SIEMs, a line for each pair."""
    with reading.opened_store() as engine:
        found = reading_forwards.forwards(engine)
    if as_json:
        say_json([_as_json(one) for one in found])
        return
    if not found:
        note(NONE_YET)
        return
    say_table(overview.table(COLUMNS, map(_line, found)))


def _as_json(one: ForwardStatus) -> dict[str, str]:
    return {
        "siem": one.siem,
        "type": one.kind,
        "source": one.source,
        "source_id": one.source_id,
        "state": one.state,
    }


def _line(one: ForwardStatus) -> tuple[Text, ...]:
    return Text(plain(one.siem), "bold"), Text(one.kind), Text(plain(one.source)), Text(one.state, style_of(one))
