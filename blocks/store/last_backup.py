"""When the last backup of a store was made, from its audit log: an earlier one counts in a restored store, too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from blocks import settings
from blocks.durations import duration_ns
from blocks.errors import ThirdPartyConfigError
from blocks.store import audit_log

if TYPE_CHECKING:
    from sqlalchemy import Engine

ACTION = "backup"
DEFAULT = "8d"


@dataclass(frozen=True, slots=True)
class LastBackup:
    """When it was made (ns since 1970), and its file."""

    time_ns: int
    file: str


def find(engine: Engine) -> LastBackup | None:
    """The last backup; None if none was ever made."""
    record = audit_log.newest_of_sources(engine, ACTION).get("")
    return None if record is None else LastBackup(record.time_ns, str(record.details.get("file", "")))


def record(engine: Engine, file: str, size: int, sha256: str) -> None:
    """Record that a backup was made."""
    audit_log.append(engine, ACTION, "", "", file=file, bytes=size, sha256=sha256)


def limit_ns() -> int | None:
    """How old the last backup may be; None if that is `off`. Raises ThirdPartyConfigError for another value."""
    named = settings.read("BACKUP_AFTER") or DEFAULT
    if named == "off":
        return None
    try:
        return duration_ns(named)
    except ValueError:
        raise ThirdPartyConfigError(
            f"{settings.PREFIX}BACKUP_AFTER is {named!r}.",
            hint="Set it to a duration such as 36h or 8d, or to off.",
            code="setting",
        ) from None
