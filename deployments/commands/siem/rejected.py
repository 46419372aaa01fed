"""`onepassword-source siem rejected`: list or discard rejected events, from the store without Prefect."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from blocks.command_line import command_line
from blocks.store import source_status
from blocks.store.forwarding import forward_status
from deployments import deferred
from deployments.commands.support.options import Json, OfSource, Siem, Yes
from deployments.commands.support.usage import usage_error
from deployments.terminal_output import (
    confirm,
    format_rfc3339,
    join_styled,
    print_indented,
    print_json,
    print_line,
    print_note,
    printable,
)

if TYPE_CHECKING:
    from deployments.json_records.forwarding import DiscardedRecord, RejectedEventRecord


def command(
    name: Siem,
    source: OfSource = None,
    discard: Annotated[bool, typer.Option("--discard", help="Discard them: they are never sent again.")] = False,
    reason: Annotated[
        str | None,
        typer.Option("--reason", metavar="TEXT", help="With --discard: why; it is recorded in the audit log."),
    ] = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Print the events that a SIEM rejected, or discard them."""
    if reason is not None and not discard:
        raise usage_error("siem rejected", "--reason needs --discard.")
    if discard:
        _discard(name, source, reason, yes=yes, as_json=as_json)
    else:
        _show(name, source, as_json=as_json)


def _show(name: str, source: str | None, *, as_json: bool) -> None:
    with source_status.opened_store() as engine:
        found = forward_status.rejected_events(engine, name, source)
    if as_json:
        print_json([_as_json(name, one) for one in found])
        return
    for one in found:
        print_line(join_styled((one["source"], ""), (one["api"], ""), (one["uuid"], "bold"), (one["code"], "red")))
        print_indented(printable(one["answer"]), 2)
    if found:
        again = command_line("siem replay", name, options=("--rejected",))
        print_note(f"When you have fixed the cause, send them again: {again}")
    else:
        print_note("It has rejected nothing.")


def _as_json(name: str, one: dict[str, Any]) -> RejectedEventRecord:
    return {
        "source": one["source"],
        "source_id": one["source_id"],
        "siem": name,
        "api": one["api"],
        "uuid": one["uuid"],
        "code": one["code"],
        "answer": one["answer"],
        "rejected_at": format_rfc3339(one["rejected_ns"]),
    }


def _discard(name: str, source: str | None, reason: str | None, *, yes: bool, as_json: bool) -> None:
    if not yes:
        confirm(
            f"Discard the events that {printable(name)} rejected? They are never sent again", "Nothing was discarded."
        )
    with source_status.opened_store() as engine:
        pairs = deferred.forward_pairs.require(engine, name, source)
        gone = [(pair, deferred.rejected_events.discard(engine, pair, reason=reason)) for pair in pairs]
    if as_json:
        answer: list[DiscardedRecord] = [
            {"source": one.source, "source_id": one.source_id, "siem": one.siem, "discarded": number}
            for one, number in gone
        ]
        print_json(answer)
        return
    for pair, number in gone:
        print_line(f"{printable(pair.source)} to {printable(pair.siem)}: {number:,} discarded.")
