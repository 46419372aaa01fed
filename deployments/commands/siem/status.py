"""`onepassword-source siem status`: how far each SIEM is, read from the store without Prefect."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from blocks.command_line import command_line
from blocks.store import source_status
from blocks.store.forwarding import forward_status
from deployments.commands.support import overview
from deployments.commands.support.options import Json, OfSource, OneSiem
from deployments.commands.support.pair_json import pair_as_json, position_state
from deployments.commands.support.pair_line import NONE_YET, STYLES, state_style
from deployments.commands.support.retries import retry_line
from deployments.terminal_output import (
    format_age,
    format_minute,
    join_styled,
    print_fitting,
    print_indented,
    print_json,
    print_line,
    print_note,
    print_table,
    printable,
)

if TYPE_CHECKING:
    from blocks.store.forwarding.forward_status import PairStatus

COLUMNS = ("API", "state", "sent", "filtered", "rejected", "waiting", "oldest", "last ack")
NUMBERS = ("sent", "filtered", "rejected", "waiting")
STATES = ("retrying", "withheld", "waiting", "ok", "paused", "source deleted")
"""The order of the overview, after the errors."""
NOT_FOR_SIEM = "Nothing is sent: the field _siemForward of the source is not true."

DETAILS = "With more than five pairs of a source and a SIEM, each has one line; --source shows one in detail."


def command(name: OneSiem = None, source: OfSource = None, as_json: Json = False) -> int:
    """Print how far each SIEM is; if there are many, one line each. Returns 1 if one is in error."""
    with source_status.opened_store() as engine:
        found = forward_status.pairs(engine, name, source)
    if as_json:
        print_json([pair_as_json(one) for one in found])
    elif len(found) > overview.DETAILED_MAX:
        _show_overview(found)
    elif found:
        for number, one in enumerate(found):
            if number:
                print_line("")
            _show(one)
    else:
        print_note(NONE_YET)
    return 1 if any(one.in_error for one in found) else 0


def _show_overview(found: list[PairStatus]) -> None:
    worst_first = sorted(
        found, key=lambda one: (not one.in_error, STATES.index(one.state) if one.state in STATES else 0)
    )
    print_table(
        overview.build_table(overview.PAIR_COLUMNS, (overview.pair_row(one, state_style(one)) for one in worst_first))
    )
    print_line("")
    print_line(overview.summary((one.state for one in worst_first), "pairs of SIEM and source"))
    print_note("For details: onepassword-source siem status SIEM --source NAME")


def _show(one: PairStatus) -> None:
    state = join_styled(
        (one.siem, "bold"),
        (one.state, STYLES.get(one.state, "bold red")),
        (one.kind, "dim"),
        (f"of {one.source}", "dim"),
    )
    print_line(state)
    if not one.for_siem and one.kind != "archive":
        print_indented(NOT_FOR_SIEM, 2, style="yellow")
    print_fitting(_table(one))
    if one.next_file_ns is not None:
        print_indented(f"It waits for a full file until {format_minute(one.next_file_ns)}: one file holds one hour.", 2)
    for sentence, apis in _errors(one).items():
        print_indented(f"{', '.join(apis)}: {printable(sentence)}", 2)
    if one.in_error:
        test, resume = command_line("siem test", one.siem), command_line("siem resume", one.siem)
        print_indented(printable(f"`{test}` tries it; `{resume}` sends again."), 2, lead="→ ")
    for position in one.positions:
        if one.state == "retrying" and (retry := retry_line(position)):
            print_indented(retry, 2)


def _errors(one: PairStatus) -> dict[str, list[str]]:
    """The error messages, each once, with the APIs that have it."""
    found: dict[str, list[str]] = {}
    for position in one.positions:
        if position.error_message:
            since = f" Since {format_minute(position.failing_since_ns)}." if position.failing_since_ns else ""
            found.setdefault(f"{position.error_message}{since}", []).append(position.api)
    return found


def _table(one: PairStatus) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for title in COLUMNS:
        justify = "right" if title in NUMBERS else "left"
        table.add_column(title, justify=justify, header_style="dim")  # type: ignore[arg-type]
    for position in one.positions:
        table.add_row(
            position.api,
            Text(position_state(position)),
            *(f"{number:,}" for number in (position.sent, position.filtered, position.rejected, position.waiting)),
            format_age(position.oldest_ns),
            f"{format_age(position.progress_ns)} ago" if position.progress_ns is not None else "",
        )
    return table
