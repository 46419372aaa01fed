"""The table of a collect run in the Prefect UI: one row per API. Only runs with news have one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
from prefect import get_run_logger
from prefect.artifacts import create_table_artifact
from prefect.exceptions import PrefectException
from whenever import Instant

from blocks import clock
from blocks.prefect_names import block_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tasks.support.drain import CollectResult

COLUMNS = ("API", "new", "already known", "quarantined", "newest event", "lag", "pages", "seconds", "note")


def report_run(source: str, outcomes: Mapping[str, CollectResult | BaseException], message: str) -> None:
    """Save a table as an artifact of the run, under a key of the source, so that the UI shows its history.

    A run without new events saves none. An error counts as new: an API that has stopped in error is not read again. If
    Prefect does not accept the table, the run continues.
    """
    if not any(_is_news(outcome) for outcome in outcomes.values()):
        return
    rows = [_error_row(api, one) if isinstance(one, BaseException) else _row(one) for api, one in outcomes.items()]
    key = f"collect-{block_name(source)}"
    try:
        create_table_artifact(key=key, table=rows, description=f"**{source}**: {message}")
    except (httpx.HTTPError, PrefectException, RuntimeError) as error:
        get_run_logger().warning("The table of the run could not be shown in Prefect (%s).", type(error).__name__)


def _is_news(outcome: CollectResult | BaseException) -> bool:
    return isinstance(outcome, BaseException) or bool(outcome.new or outcome.quarantined or outcome.note)


def _row(collected: CollectResult) -> dict[str, str]:
    newest = collected.newest_ns
    values = (
        collected.api,
        f"{collected.new:,}",
        f"{collected.known:,}",
        f"{collected.quarantined:,}",
        Instant.from_timestamp(newest, unit="nanosecond").format_iso(unit="second") if newest is not None else "",
        clock.format_age(newest) if newest is not None else "",
        f"{collected.pages:,}",
        f"{collected.seconds:.1f}",
        collected.note,
    )
    return dict(zip(COLUMNS, values, strict=True))


def _error_row(api: str, error: BaseException) -> dict[str, str]:
    return dict(zip(COLUMNS, (api, *[""] * 7, str(error)), strict=True))
