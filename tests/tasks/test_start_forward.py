"""A run that reads starts the runs that forward, on a real Prefect server: one a pair, where there is something."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest
from pydantic import SecretStr
from receivers.server import receiving
from receivers.sumo_logic import PATH, SumoLogic
from support import flow_runs
from support.flow_runs import Source, outcome, query_store

from blocks.events_api.models import Api
from blocks.prefect_names import block_name, forward_name
from blocks.siem.sumo_logic.block import SumoLogicSiem
from blocks.store.forwarding import forward_pairs
from deployments import forward_deployments
from deployments.prefect_api import deploy
from deployments.prefect_api.deploy import find_by_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prefect.client.schemas.objects import FlowRun

pytestmark = pytest.mark.prefect
source = flow_runs.source  # with blocks on a Prefect server, unlike the one of all other tests of tasks


class Deployed:
    """A source whose events go to a SIEM, with the pair's deployment."""

    def __init__(self, source: Source, url: str) -> None:
        self.source = source
        self.siem = f"soc {uuid4().hex[:8]}"
        block = SumoLogicSiem(url=SecretStr(url + PATH))
        block.save(block_name(self.siem))
        self.source_id = str(query_store(source, "SELECT id FROM sources")[0][0])
        engine = source.engine()
        forward_pairs.save(engine, self.source_id, self.siem, block.kind, block.public_settings(), block.fingerprint())
        (pair,) = forward_pairs.find_all(engine, self.siem)
        engine.dispose()
        with deploy.open_deployer() as deployer:
            forward_deployments.deploy(deployer, pair)
        self.deployment = self._deployment()

    def _deployment(self) -> UUID:
        from prefect.client.orchestration import get_client

        with get_client(sync_client=True) as client:
            found = find_by_name(client, "forward", forward_name(self.source.name, self.siem))
        assert found
        return found.id

    def runs(self) -> list[FlowRun]:
        """Those that were started, not those that the schedule has planned."""
        from prefect.client.orchestration import get_client
        from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId

        of_pair = DeploymentFilter(id=DeploymentFilterId(any_=[self.deployment]))
        with get_client(sync_client=True) as client:
            found = client.read_flow_runs(deployment_filter=of_pair)
        return [run for run in found if not run.auto_scheduled]

    def end(self, run: FlowRun) -> None:
        from prefect.client.orchestration import get_client
        from prefect.states import Completed

        with get_client(sync_client=True) as client:
            client.set_flow_run_state(run.id, Completed(), force=True)

    def forward(self) -> Any:
        from flows.forward import forward

        return forward(self.source.name, self.siem, return_state=True)

    def arrive(self) -> None:
        self.source.sandbox.arrive(Api.AUDIT.path, 3)
        self.source.collect()


@pytest.fixture
def deployed(source: Source) -> Iterator[Deployed]:
    source.save(fields={"_siemForward": True})
    assert outcome(source.collect()) == "Collected"
    with receiving(SumoLogic()) as receiver:
        yield Deployed(source, receiver.url)


def test_a_collection_starts_one_run_where_events_wait_and_none_where_not(deployed: Deployed) -> None:
    deployed.source.collect()  # it finds nothing new, but what came before is not sent yet
    (first,) = deployed.runs()
    assert first.name == f"forward {deployed.source.name} to {deployed.siem}"
    by_id = {"source_id": deployed.source_id}
    assert first.parameters == {"source": deployed.source.name, "siem": deployed.siem, **by_id}
    deployed.source.collect()
    assert len(deployed.runs()) == 1, "one that has not begun takes all that there is"
    assert outcome(deployed.forward()) == "Forwarded"
    deployed.end(first)
    deployed.source.collect()
    assert len(deployed.runs()) == 1, "all is sent"
    deployed.arrive()
    assert len(deployed.runs()) == 2


def test_a_run_that_retries_another_api_does_not_keep_it_waiting(deployed: Deployed) -> None:
    from prefect.client.orchestration import get_client
    from prefect.states import Running

    deployed.source.collect()
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(deployed.runs()[0].id, Running(), force=True)
    deployed.source.collect()
    assert len(deployed.runs()) == 2


def test_a_paused_deployment_starts_nothing(deployed: Deployed) -> None:
    forward_deployments.set_paused(deployed.source.name, deployed.siem, paused=True)
    deployed.source.collect()
    assert deployed.runs() == []


def test_a_backfill_and_a_reconcile_start_it_too(deployed: Deployed) -> None:
    from flows.backfill import backfill
    from flows.reconcile import reconcile

    backfill(deployed.source.name, start="20d", end="1h")
    (first,) = deployed.runs()
    deployed.end(first)
    reconcile(deployed.source.name)
    assert len(deployed.runs()) == 2


def test_where_prefect_refuses_collecting_goes_on(deployed: Deployed, monkeypatch: pytest.MonkeyPatch) -> None:
    from prefect.client.orchestration import SyncPrefectClient

    def refuse(*_: Any, **__: Any) -> None:
        raise RuntimeError("It does not answer.")

    monkeypatch.setattr(SyncPrefectClient, "create_flow_run_from_deployment", refuse)
    assert outcome(deployed.source.collect()) == "Collected"
    assert deployed.runs() == []
