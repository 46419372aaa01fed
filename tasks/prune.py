"""Remove the events of one stream that are old enough."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from blocks import clock, settings
from blocks.errors import FirstPartyGenericError
from blocks.store import prune, schema
from blocks.store.engine import open_engine
from blocks.store.prune import PruneTarget, RetentionRule

if TYPE_CHECKING:
    from prefect import Task
    from prefect.client.schemas.objects import State, TaskRun

RETRIES, RETRY_SECONDS = 3, 60  # the next scheduled run continues in any case


def _again(task: Task[Any, Any], _run: TaskRun, state: State[Any]) -> bool:
    task.retry_delay_seconds = clock.engine_delay(RETRY_SECONDS)  # type: ignore[assignment]  # Prefect accepts a number, too
    return isinstance(state.data, FirstPartyGenericError)


@task(
    name="prune",
    task_run_name="prune {target.api} of {target.source_name}",
    retries=RETRIES,
    retry_delay_seconds=1,  # `_again` sets it; it must not be 0 before that
    retry_condition_fn=_again,
    cache_policy=NO_CACHE,
    persist_result=False,
)
def prune_stream(target: PruneTarget, rule: RetentionRule) -> int:
    """Remove the events of `target` that are older than `rule` in batches, and return their number.

    Between the batches, collection continues.
    """
    engine = open_engine(settings.database_url())
    try:
        removed = sum(prune.prune(engine, target, rule))
    finally:
        engine.dispose()
    get_run_logger().info("%s of %s: %d events removed", target.api, target.source_name, removed)
    return removed


def find_targets(source: str | None) -> list[PruneTarget]:
    """The streams to prune, of one source or of all. Raises ThirdPartyConfigError if there is no such source."""
    engine = open_engine(settings.database_url())
    try:
        schema.upgrade(engine)
        return prune.targets(engine, source)
    finally:
        engine.dispose()
