"""The pairs of a SIEM and its sources, as `siem pause` and `siem resume` switch them."""

from __future__ import annotations

from deployments.commands import deferred
from deployments.commands.prefect_server import prefect
from deployments.commands.present import plain, say


def set_paused(name: str, source: str | None, *, paused: bool) -> None:
    """Pause or resume the pairs of a SIEM, and say which were so already."""
    with prefect():
        engine = deferred.sources.open_default_store()
        for pair in deferred.forwards.require(engine, name, source):
            changed = deferred.siems.set_paused(engine, pair, paused=paused)
            was = "" if changed else "was "
            say(f"{plain(pair.source)} to {plain(pair.siem)}: {was}{'paused' if paused else 'resumed'}.")
            if not paused:
                deferred.forwarding.run_now(pair.source, pair.siem)
