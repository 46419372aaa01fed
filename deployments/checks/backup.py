"""How old the last backup of the store is."""

from __future__ import annotations

from blocks import clock, settings
from blocks.errors import SourceError
from blocks.store import last_backup
from blocks.store.engine import open_engine
from deployments.checks.finding import Finding, failed, not_checked, ok, warning
from deployments.checks.runs import store_exists

STEP = "backup"


def check_backup(url: str) -> Finding | None:
    """How old the last backup is; None if none was ever made."""
    if not store_exists(url):
        return None
    engine = open_engine(url)
    try:
        found, limit_ns = last_backup.find(engine), last_backup.limit_ns()
    except SourceError as error:
        if error.code == "setting":
            return failed(STEP, error.message, error.hint)
        return not_checked(STEP, "the store could not be read")
    finally:
        engine.dispose()
    if found is None:
        return None
    text = f"The last one was made {clock.format_age(found.time_ns)} ago: {found.file}."
    if limit_ns is not None and clock.now_ns() - found.time_ns > limit_ns:
        hint = (
            f"`onepassword-source backup FILE` makes one; see whether its schedule runs. {settings.PREFIX}BACKUP_AFTER "
        )
        return warning(STEP, text, f"{hint}says how old it may be.")
    return ok(STEP, text)
