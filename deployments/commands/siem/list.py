"""`onepassword-source siem list`: the pairs of SIEMs and sources, read from the store without Prefect."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from blocks.store import source_status
from blocks.store.forwarding import forward_status
from deployments.commands.support import overview
from deployments.commands.support.options import Json
from deployments.commands.support.pair_line import NONE_YET, state_style
from deployments.terminal_output import print_json, print_note, print_table, printable

if TYPE_CHECKING:
    from blocks.store.forwarding.forward_status import PairStatus
    from deployments.json_records.forwarding import PairNameRecord

COLUMNS = ("SIEM", "type", "source", "state")


def command(as_json: Json = False) -> None:
    """Print the SIEMs, one line for each pair."""
    with source_status.opened_store() as engine:
        found = forward_status.pairs(engine)
    if as_json:
        print_json([_as_json(one) for one in found])
        return
    if not found:
        print_note(NONE_YET)
        return
    print_table(overview.build_table(COLUMNS, map(_line, found)))


def _as_json(one: PairStatus) -> PairNameRecord:
    return {
        "siem": one.siem,
        "type": one.kind,
        "source": one.source,
        "source_id": one.source_id,
        "state": one.state,
    }


def _line(one: PairStatus) -> tuple[Text, ...]:
    return (
        Text(printable(one.siem), "bold"),
        Text(one.kind),
        Text(printable(one.source)),
        Text(one.state, state_style(one)),
    )
