"""`onepassword-source siem remove`: remove the pairs of a SIEM, with their positions and secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deployments import deferred
from deployments.commands.support.options import Json, OfSource, Siem, Yes
from deployments.prefect_session import prefect_session
from deployments.terminal_output import confirm, print_json, print_line, printable

if TYPE_CHECKING:
    from blocks.store.forwarding.records import ForwardPair
    from deployments.json_records.forwarding import RemovedPairRecord


def command(name: Siem, source: OfSource = None, yes: Yes = False, as_json: Json = False) -> None:
    """Remove the pairs of a SIEM, after a confirmation."""
    with prefect_session():
        engine = deferred.sources.open_default_store()
        pairs = deferred.forward_pairs.require(engine, name, source, with_deleted=True)
        if not yes:
            of = ", ".join(printable(pair.source) for pair in pairs)
            confirm(f"Remove {printable(name)} for {of}? Its positions are removed too", "Nothing was removed.")
        removed = [(pair, deferred.siems.remove(engine, pair)) for pair in pairs]
    if as_json:
        print_json([_as_json(pair, with_secrets=gone) for pair, gone in removed])
        return
    for pair, gone in removed:
        more = ", with its secrets" if gone else ""
        print_line(f"{printable(pair.source)} to {printable(pair.siem)}: removed{more}.")


def _as_json(pair: ForwardPair, *, with_secrets: bool) -> RemovedPairRecord:
    return {"source": pair.source, "source_id": pair.source_id, "siem": pair.siem, "secrets_removed": with_secrets}
