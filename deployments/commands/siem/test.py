"""`onepassword-source siem test`: show what would be sent, and which rule filters an event."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from deployments import deferred
from deployments.commands.support.options import Json, OfSource, Siem
from deployments.exit_codes import DONE, IN_ERROR
from deployments.prefect_session import prefect_session
from deployments.terminal_output import print_indented, print_json, print_line, print_note, printable

if TYPE_CHECKING:
    from deployments.json_records.forwarding import SampleRecord, SiemTestRecord
    from deployments.siem_test import Sample

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
        found = deferred.siem_samples.try_siem(name, source, sample, offline=offline)
    code = DONE if found.works else IN_ERROR
    if as_json:
        events = [_as_json(one) for one in found.samples]
        answer: SiemTestRecord = {
            "siem": name,
            "answer": found.answer or None,
            "ok": found.works,
            "events": events,
        }
        print_json(answer)
        return code
    for one in found.samples:
        _print_sample(one)
    if not found.samples:
        print_note("There are no events to show yet.")
    if found.answer:
        print_line(
            f"{'ok' if found.works else 'error'}: {printable(found.answer)}", "green" if found.works else "bold red"
        )
    return code


def _as_json(one: Sample) -> SampleRecord:
    found: SampleRecord = {"source": one.source, "api": one.api, "uuid": one.uuid, "withheld": one.withheld}
    if one.filtered_by is not None:
        return {**found, "filtered_by": one.filtered_by}
    return {**found, "record": one.record, "group": list(one.group), "redacted": list(one.redacted)}


def _print_sample(one: Sample) -> None:
    head = f"{printable(one.source)}  {one.api}  {printable(one.uuid)}"
    if one.filtered_by is not None:
        print_line(f"{head}  filtered: {printable(one.filtered_by)}", "yellow")
        return
    print_line(f"{head}{'  withheld: _siemForward is not true' if one.withheld else ''}", "bold")
    for text in (" ".join(one.group), f"redacted: {', '.join(one.redacted)}" if one.redacted else ""):
        if text:
            print_indented(printable(text), 2, style="dim")
    print_indented(printable(one.record[:SHOWN_MAX] + ("…" if len(one.record) > SHOWN_MAX else "")), 2)
