"""Health events of the time while the store did not answer: kept in a file, then moved into the store."""

from __future__ import annotations

import json
import os
import uuid
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING

from blocks import settings
from blocks.errors import SourceError
from blocks.health import Condition, HealthEvent
from blocks.store import health

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Engine

BYTES_MAX = 1_000_000
_last_values: dict[tuple[str, str], str] = {}


def append(source_id: str, source_name: str, condition: Condition) -> HealthEvent | None:
    """Append a condition of a source to the file, and return its event; None if it was appended with the same value.

    A full file (1 MB) stays as it is: the store was away for weeks, and how that began is in it.
    """
    if _last_values.get((source_id, condition.tracker)) == condition.value:
        return None
    _last_values[source_id, condition.tracker] = condition.value
    event = HealthEvent.from_condition(condition, source_id, source_name)
    if not _is_full(_path(source_id)):
        _append(_path(source_id), {"event": asdict(event), "value": condition.value})
    return event


def flush(engine: Engine, source_id: str) -> None:
    """Move the events of a source into its store. Raises FirstPartyGenericError if the store does not answer."""
    path = _path(source_id)
    if not path.exists():
        return
    mine = path.with_suffix(f".{uuid.uuid4().hex}")
    with suppress(FileNotFoundError):  # another process has moved it first
        path.rename(mine)
        try:
            health.save_published(engine, list(_read(mine)))
        except SourceError:
            mine.rename(path)
            raise
        mine.unlink()
    for key in [key for key in _last_values if key[0] == source_id]:
        del _last_values[key]


def _path(source_id: str) -> Path:
    return settings.data_dir() / f"unstored-health-{source_id}.jsonl"


def _is_full(path: Path) -> bool:
    try:
        return path.stat().st_size >= BYTES_MAX
    except FileNotFoundError:
        return False


def _append(path: Path, line: dict[str, object]) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a") as file:  # noqa: PTH123 - needs a mode
        file.write(json.dumps(line) + "\n")


def _read(path: Path) -> Iterator[tuple[HealthEvent, str]]:
    for line in path.read_text().splitlines():
        with suppress(ValueError, TypeError, KeyError):  # half a line of a killed process
            kept = json.loads(line)
            yield HealthEvent(**kept["event"]), str(kept["value"])
