"""Report a run: a table per API in the Prefect UI."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prefect import task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE
from whenever import Instant

from blocks import clock
from blocks.names import block_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tasks.drain import Collected

COLUMNS = ("API", "new", "already known", "quarantined", "newest event", "lag", "pages", "seconds", "note")


@task(name="report", cache_policy=NO_CACHE, persist_result=False)
def report(source: str, outcomes: Mapping[str, Collected | BaseException], message: str) -> None:
    """Leave a table as an artifact of the run, under a key of the source, so that the UI shows its history."""
    rows = [_error_row(api, one) if isinstance(one, BaseException) else _row(one) for api, one in outcomes.items()]
    key = f"collect-{block_name(source)}"
    create_table_artifact(key=key, table=rows, description=f"**{source}**: {message}")


def _row(collected: Collected) -> dict[str, str]:
    newest = collected.newest_ns
    values = (
        collected.api,
        f"{collected.new:,}",
        f"{collected.known:,}",
        f"{collected.quarantined:,}",
        Instant.from_timestamp(newest, unit="nanosecond").format_iso(unit="second") if newest is not None else "",
        clock.span_since(newest) if newest is not None else "",
        f"{collected.pages:,}",
        f"{collected.seconds:.1f}",
        collected.note,
    )
    return dict(zip(COLUMNS, values, strict=True))


def _error_row(api: str, error: BaseException) -> dict[str, str]:
    return dict(zip(COLUMNS, (api, *[""] * 7, str(error)), strict=True))
