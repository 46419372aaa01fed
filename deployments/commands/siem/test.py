"""`onepassword-source siem test`: what would be sent, and why an event would not."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Annotated, Any

import typer

from blocks.errors import SourceError
from deployments.commands.support import deferred
from deployments.commands.support.options import Json, OfSource, Siem
from deployments.commands.support.output import note, plain, say, say_indented, say_json
from deployments.commands.support.prefect_server import prefect
from deployments.exit_codes import DONE, IN_ERROR

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from blocks.siem.base import SiemBlock
    from blocks.siem.delivery.prepare import Preparer
    from blocks.siem.delivery.protocol import Sender
    from blocks.store.forwarding.forward_pairs import Known

SHOWN_MAX = 2000  # characters of one record on a terminal; --json has all of it


def command(
    name: Siem,
    source: OfSource = None,
    sample: Annotated[int, typer.Option(min=1, max=100, help="How many of the newest events of each API.")] = 5,
    offline: Annotated[bool, typer.Option("--offline", help="Do not ask the SIEM whether it would take them.")] = False,
    as_json: Json = False,
) -> int:
    """Show the newest events as they would be sent, and ask the SIEM. 1 where it would not take them."""
    with prefect():
        engine = deferred.sources.open_default_store()
        pairs = deferred.forward_pairs.require(engine, name, source)
        block = deferred.siem.load_siem(name, pairs[0].kind)
        with closing(block.get_sender()) as sender:
            shown = [one for pair in pairs for one in _samples_as_json(engine, pair, block, sender, sample)]
            answer, works = ("", True) if offline else _checked(sender)
    if as_json:
        say_json({"siem": name, "answer": answer or None, "ok": works, "events": shown})
        return DONE if works else IN_ERROR
    for one in shown:
        _say(one)
    if not shown:
        note("There is no event yet to show.")
    if answer:
        say(f"{'ok' if works else 'error'}: {plain(answer)}", "green" if works else "bold red")
    return DONE if works else IN_ERROR


def _checked(sender: Sender) -> tuple[str, bool]:
    try:
        return sender.check(), True
    except SourceError as error:
        return str(error), False


def _samples_as_json(
    engine: Engine, pair: Known, block: SiemBlock, sender: Sender, number: int
) -> list[dict[str, Any]]:
    found = []
    for view in deferred.positions.of_forward(engine, pair.id):
        preparer: Preparer = deferred.siem.preparer_of(engine, pair.source_id, view.api, block, sender)
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


def _say(one: dict[str, Any]) -> None:
    head = f"{plain(one['source'])}  {one['api']}  {plain(one['uuid'])}"
    if "filtered_by" in one:
        say(f"{head}  dropped: {plain(one['filtered_by'])}", "yellow")
        return
    say(f"{head}{'  withheld: _siemForward is not true' if one['withheld'] else ''}", "bold")
    if one["group"]:
        say_indented(plain(" ".join(one["group"])), 2, style="dim")
    text = one["record"]
    say_indented(plain(text[:SHOWN_MAX] + ("…" if len(text) > SHOWN_MAX else "")), 2)
