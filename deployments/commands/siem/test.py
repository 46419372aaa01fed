"""`onepassword-source siem test`: show what would be sent, and which rule filters an event."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Annotated, Any

import typer

from blocks.errors import SourceError
from deployments import deferred
from deployments.commands.support.options import Json, OfSource, Siem
from deployments.exit_codes import DONE, IN_ERROR
from deployments.prefect_session import prefect_session
from deployments.terminal_output import print_indented, print_json, print_line, print_note, printable

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from blocks.siem.base import SiemBlock
    from blocks.siem.delivery.prepare import Preparer
    from blocks.siem.delivery.protocol import Sender
    from blocks.store.forwarding.records import ForwardPair

SHOWN_MAX = 2000  # characters of one record on a terminal; --json has all of it


def command(
    name: Siem,
    source: OfSource = None,
    sample: Annotated[int, typer.Option(min=1, max=100, help="So many of the newest events of each API.")] = 5,
    offline: Annotated[bool, typer.Option("--offline", help="Send no test request to the SIEM.")] = False,
    as_json: Json = False,
) -> int:
    """Show the newest events as they would be sent, and send a test request. Returns 1 if that fails."""
    with prefect_session():
        engine = deferred.sources.open_default_store()
        pairs = deferred.forward_pairs.require(engine, name, source)
        block = deferred.siem.load_siem(name, pairs[0].kind)
        with closing(block.get_sender()) as sender:
            shown = [one for pair in pairs for one in _samples_as_json(engine, pair, block, sender, sample)]
            answer, works = ("", True) if offline else _check(sender)
    if as_json:
        print_json({"siem": name, "answer": answer or None, "ok": works, "events": shown})
        return DONE if works else IN_ERROR
    for one in shown:
        _print_sample(one)
    if not shown:
        print_note("There are no events to show yet.")
    if answer:
        print_line(f"{'ok' if works else 'error'}: {printable(answer)}", "green" if works else "bold red")
    return DONE if works else IN_ERROR


def _check(sender: Sender) -> tuple[str, bool]:
    try:
        return sender.check(), True
    except SourceError as error:
        return str(error), False


def _samples_as_json(
    engine: Engine, pair: ForwardPair, block: SiemBlock, sender: Sender, number: int
) -> list[dict[str, Any]]:
    found = []
    for view in deferred.positions.of_pair(engine, pair.id):
        preparer: Preparer = deferred.siem.make_preparer(engine, pair.source_id, view.api, block, sender)
        withheld = preparer.stream.classifier is None and not block.is_archive
        for event in deferred.unsent_events.newest(engine, view.stream_id, number):
            made = preparer.prepare(event)
            one: dict[str, Any] = {
                "source": pair.source,
                "api": str(view.api),
                "uuid": event.uuid,
                "withheld": withheld,
            }
            if isinstance(made, deferred.prepare.FilteredEvent):
                found.append({**one, "filtered_by": made.reason})
            else:
                data = made.data.decode(errors="replace").strip()
                found.append({**one, "record": data, "group": list(made.group)})
    return found


def _print_sample(one: dict[str, Any]) -> None:
    head = f"{printable(one['source'])}  {one['api']}  {printable(one['uuid'])}"
    if "filtered_by" in one:
        print_line(f"{head}  filtered: {printable(one['filtered_by'])}", "yellow")
        return
    print_line(f"{head}{'  withheld: _siemForward is not true' if one['withheld'] else ''}", "bold")
    if one["group"]:
        print_indented(printable(" ".join(one["group"])), 2, style="dim")
    text = one["record"]
    print_indented(printable(text[:SHOWN_MAX] + ("…" if len(text) > SHOWN_MAX else "")), 2)
