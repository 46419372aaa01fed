"""What the shell completes beside commands and options: names in the store, and words that an option takes."""

from __future__ import annotations

from contextlib import suppress

from blocks.errors import SourceError
from blocks.store import source_status
from blocks.store.forwarding import forward_status


def source_names() -> list[str]:
    """The names of the sources; none where the store does not answer."""
    with suppress(SourceError), source_status.opened_store() as engine:
        return [source.name for source in source_status.sources(engine)]
    return []


def siem_names() -> list[str]:
    """The names of the SIEMs; none where the store does not answer."""
    with suppress(SourceError), source_status.opened_store() as engine:
        return list(dict.fromkeys(pair.siem for pair in forward_status.forwards(engine)))
    return []
