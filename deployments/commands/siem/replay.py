"""`onepassword-source siem replay`: send events again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from blocks.errors import ThirdPartyConfigError
from deployments import deferred
from deployments.commands.support.options import From, Json, OfSource, Siem, Yes, parse_time_option
from deployments.prefect_session import prefect_session
from deployments.terminal_output import confirm, print_json, print_line, printable

if TYPE_CHECKING:
    from blocks.store.forwarding.records import ForwardPair
    from deployments.json_records.forwarding import ReplayRecord

DETAILS = "It asks before it sends events again that were sent already."


def command(
    name: Siem,
    source: OfSource = None,
    since: From = None,
    rejected: Annotated[bool, typer.Option("--rejected", help="The events that the SIEM rejected.")] = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Send events again: those received since a time, or those that the SIEM rejected."""
    if (since is None) is not rejected:
        raise ThirdPartyConfigError(
            "Nothing says which events to send again.",
            hint="Give --from TIME, or --rejected for the events that the SIEM rejected.",
            code="usage",
        )
    since_ns = parse_time_option("--from", since)
    with prefect_session():
        if since_ns is None:
            done = deferred.siem_actions.resend_rejected(name, source)
        else:
            if not yes:
                _confirm(name, source, since_ns)
            done = deferred.siem_actions.resend_since(name, source, since_ns)
    if as_json:
        print_json([_as_json(pair, number) for pair, number in done])
        return
    for pair, number in done:
        events = "1 event is" if number == 1 else f"{number:,} events are"
        print_line(f"{printable(pair.source)} to {printable(pair.siem)}: {events} sent again.")


def _confirm(name: str, source: str | None, since_ns: int) -> None:
    """Rejected events never arrived. Events that were sent may be stored twice, so this asks first."""
    number = deferred.siem_actions.count_sent_since(name, source, since_ns)
    if number:
        events = "1 event was" if number == 1 else f"{number:,} events were"
        sentence = f"{events} sent to {printable(name)} already, and would be sent again"
        confirm(f"{sentence}. It may store both copies. Continue?", f"{sentence}. Nothing was done.")


def _as_json(pair: ForwardPair, number: int) -> ReplayRecord:
    return {"source": pair.source, "source_id": pair.source_id, "siem": pair.siem, "sent_again": number}
