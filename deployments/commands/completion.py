"""What the shell completes beside commands and options: names in the store, and words that an option takes."""

from __future__ import annotations

from contextlib import suppress

from blocks.errors import SourceError
from blocks.store import reading, reading_forwards


def source_names() -> list[str]:
    """The names of the sources; none where the store does not answer."""
    with suppress(SourceError), reading.opened_store() as engine:
        return [source.name for source in reading.sources(engine)]
    return []


def siem_names() -> list[str]:
    """The names of the SIEMs; none where the store does not answer."""
    with suppress(SourceError), reading.opened_store() as engine:
        return list(dict.fromkeys(pair.siem for pair in reading_forwards.forwards(engine)))
    return []
