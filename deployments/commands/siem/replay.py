"""`onepassword-source siem replay`."""

from __future__ import annotations

from typing import Annotated

import typer

from blocks.errors import ThirdPartyConfigError
from deployments.commands import deferred
from deployments.commands.moments import moment_of
from deployments.commands.options import From, OfSource, Siem
from deployments.commands.prefect_server import prefect
from deployments.commands.present import plain, say


def command(
    name: Siem,
    source: OfSource = None,
    since: From = None,
    refused: Annotated[bool, typer.Option("--refused", help="What the SIEM has refused, once more.")] = False,
) -> None:
    """Let a SIEM get again what was received since a time, or what it refused."""
    if (since is None) is not refused:
        raise ThirdPartyConfigError(
            "Say what is to be sent again.",
            hint="Give --from TIME, or --refused for what the SIEM has refused.",
            code="usage",
        )
    since_ns = moment_of("--from", since)
    with prefect():
        engine = deferred.sources.open_default_store()
        for pair in deferred.forwards.require(engine, name, source):
            if since_ns is None:
                again = deferred.refused.replay(engine, pair)
            else:
                again = deferred.forwards.replay(engine, pair, since_ns)
            events = "1 event is" if again == 1 else f"{again:,} events are"
            say(f"{plain(pair.source)} to {plain(pair.siem)}: {events} sent again.")
            if again:
                deferred.forwarding.run_now(pair.source, pair.siem)
