"""`onepassword-source siem remove`."""

from __future__ import annotations

from deployments.commands import deferred
from deployments.commands.options import OfSource, Siem, Yes
from deployments.commands.prefect_server import prefect
from deployments.commands.present import confirm, plain, say


def command(name: Siem, source: OfSource = None, yes: Yes = False) -> None:
    """Remove the pairs of a SIEM, after a question."""
    with prefect():
        engine = deferred.sources.open_default_store()
        pairs = deferred.forwards.require(engine, name, source, with_deleted=True)
        if not yes:
            of = ", ".join(plain(pair.source) for pair in pairs)
            confirm(f"Remove {plain(name)} for {of}? How far it is will be forgotten", "Nothing was removed.")
        for pair in pairs:
            gone = deferred.siems.remove(engine, pair)
            more = ", with its secrets" if gone else ""
            say(f"{plain(pair.source)} to {plain(pair.siem)}: removed{more}.")
