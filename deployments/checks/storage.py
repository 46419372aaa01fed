"""The storage of this machine: the store and the disks."""

from __future__ import annotations

from pathlib import Path

from blocks import settings
from blocks.errors import SourceError
from blocks.store import diagnosis, schema
from blocks.store.engine import open_engine, sqlite_path
from blocks.store.growth import growth_per_day
from deployments import disk_usage
from deployments.checks.finding import Finding, failed, ok, warning
from deployments.disk_space import GB, format_bytes, free_space

STORE_SECONDS = 15.0
LEAST, FULL = GB, GB // 20
WAL_TIMES, GROWTH_DAYS = 10, 7
_RESTORE = "Stop `up`, keep a copy of the file, and restore a backup (or `sqlite3 FILE .recover`)."


def check_store(url: str) -> Finding:
    """Whether the store opens, has the right schema, is writable and shows no damage. It is not changed."""
    try:
        return _store(diagnosis.inspect(url))
    except SourceError as error:
        hint = error.hint
        if error.code == "store" and sqlite_path(url) is None:
            hint = f"Check that PostgreSQL runs and {settings.PREFIX}DATABASE_URL."
        return failed("store", error.message, hint)


def _store(facts: diagnosis.StoreFacts) -> Finding:
    if facts.damage:
        return failed("store", f"{facts.where} is damaged: {facts.damage}.", _RESTORE)
    if facts.version is None:
        return warning("store", f"{facts.where} has no tables yet.", "`onepassword-source apply FILE` makes them.")
    if facts.version > schema.HEAD:
        text = f"{facts.where} has schema {facts.version}, made by a newer program; this one knows {schema.HEAD}."
        return failed("store", text, "Install the newer onepassword-source again.")
    if facts.refusal:
        hint = "Give its user the right to write, also to the directory of a file."
        return failed("store", f"{facts.where} cannot be written: {facts.refusal}.", hint)
    if facts.busy:
        hint = "Another process is writing for longer than a page takes: end it if it hangs."
        return warning("store", f"{facts.where} was locked for {diagnosis.LOCK_SECONDS:.0f} s.", hint)
    if facts.version < schema.HEAD:
        text = f"{facts.where} has schema {facts.version}, older than {schema.HEAD}."
        return warning("store", text, "The next run upgrades it automatically: make sure that there is a backup.")
    return ok("store", f"{facts.where}, schema {facts.version}, writable, {facts.checked}")


def check_disk(url: str, *, least: int = LEAST, full: int = FULL) -> Finding:
    """How much space is free for the store and the data directory; `least` and `full` in bytes.

    The free space of a PostgreSQL server is not visible from here.
    """
    path = sqlite_path(url)
    wal = _size(f"{path}-wal") if path else 0  # first: to open a store that nothing uses writes its log back
    week = GROWTH_DAYS * growth(url) if path else 0
    places = [*([Path(path).absolute().parent] if path else []), settings.data_dir()]
    room = free_space(places)
    if not room:
        return failed("disk", f"{places[0]} does not exist.", f"Check {settings.PREFIX}DATABASE_URL.")
    where, free = min(room, key=lambda one: one[1])
    text = ", ".join(f"{format_bytes(free)} free in {place}" for place, free in room)
    if free < full:
        return failed("disk", f"{text}.", f"Free space for {where}: writing stops when the disk is full.")
    if free < max(least, WAL_TIMES * wal, week):
        if week > max(least, WAL_TIMES * wal):
            text = f"{text}; the store grows by {format_bytes(week // GROWTH_DAYS)} a day"
            return warning(
                "disk", f"{text}.", f"Free space for {where}, or remove old events: onepassword-source prune."
            )
        logged = f", with {format_bytes(wal)} in the write-ahead log" if WAL_TIMES * wal > least else ""
        return warning("disk", f"{text}{logged}.", f"Free space for {where}.")
    return ok("disk", text)


def check_disk_use(url: str) -> Finding:
    """What each part takes on the disks of this machine, and what bounds it."""
    found = [f"{part.name} {format_bytes(part.size)} ({part.bound})" for part in disk_usage.parts(url)]
    grows = growth(url)
    rate = f" The store grows by {format_bytes(grows)} a day." if grows else ""
    return ok("disk use", f"{'; '.join(found)}.{rate}")


def growth(url: str) -> int:
    """What the store grows by in a day, in bytes; 0 if there is no store yet, or it does not answer."""
    path = sqlite_path(url)
    if path and not Path(path).exists():
        return 0
    engine = open_engine(url)
    try:
        return growth_per_day(engine)
    except SourceError:
        return 0
    finally:
        engine.dispose()


def _size(path: str) -> int:
    try:
        return Path(path).stat().st_size
    except OSError:
        return 0
