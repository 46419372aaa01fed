"""Each run writes a checkpoint of the hash chains to its log, which Prefect keeps in a database of its own."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest
from support.one_machine import wait_until

from blocks.events_api.models import Api
from blocks.store.integrity import checkpoints, verification

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prefect.client.schemas.objects import State
    from support.flow_runs import Source

pytestmark = pytest.mark.prefect


@pytest.fixture
def log_level_info() -> Iterator[None]:
    """The log level that `up` sets; other tests log warnings alone."""
    import prefect.main  # noqa: F401 - it sets the levels of its loggers when it is imported first

    logger = logging.getLogger("prefect.flow_runs")
    before = logger.level
    logger.setLevel(logging.INFO)
    yield
    logger.setLevel(before)


def logged(state: State[Any]) -> list[str]:
    """The messages with checkpoints in a run's log on the Prefect server."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId

    of_run = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[state.state_details.flow_run_id]))
    with get_client(sync_client=True) as client:
        found = client.read_logs(of_run)
    return [log.message for log in found if "Checkpoint of the hash chains" in log.message]


def test_the_log_of_a_run_has_one_checkpoint_that_matches_the_store(source: Source, log_level_info: None) -> None:
    state = source.collect()
    (line,) = wait_until(lambda: logged(state))
    (checkpoint,) = checkpoints.parse(line)
    assert checkpoint.source == source.name
    assert {api: one.events for api, one in checkpoint.links.items()} == dict.fromkeys(Api, 100)
    engine = source.engine()
    proofs = verification.verify(engine, checkpoint.source_id, link_numbers=checkpoints.links_of([checkpoint]))
    assert [one.damaged for one in proofs] == [0, 0, 0]
    assert [one.matches for one in checkpoints.compare([checkpoint], checkpoint.source_id, proofs)] == [True] * 3
    engine.dispose()
