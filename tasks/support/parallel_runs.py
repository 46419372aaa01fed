"""Start parallel runs of a backfill, on any workers of the work pool. They claim windows of the same job."""

from __future__ import annotations

import httpx
from prefect import get_client, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterName,
    FlowFilter,
    FlowFilterName,
)
from prefect.exceptions import PrefectException
from prefect.runtime import flow_run

from blocks.errors import FirstPartyGenericError, ThirdPartyConfigError
from blocks.prefect_names import deployment_name

FLOW = "backfill"
_PARALLEL = ", parallel run "


@task(name="start parallel runs", cache_policy=NO_CACHE, persist_result=False)
def start_parallel_runs(source: str, job: str, runs: int, readers: int) -> None:
    """Create `runs` runs of the source's backfill deployment, which continue `job`.

    Raises ThirdPartyConfigError if the source has no such deployment, FirstPartyGenericError if Prefect does not
    answer.
    """
    deployment = deployment_name(source)
    try:
        with get_client(sync_client=True) as client:
            found = client.read_deployments(
                flow_filter=FlowFilter(name=FlowFilterName(any_=[FLOW])),
                deployment_filter=DeploymentFilter(name=DeploymentFilterName(any_=[deployment])),
            )
            if not found:
                raise _no_deployment(source)
            for number in range(1, runs + 1):
                parameters = {"source": source, "job": job, "readers": readers}
                name = f"{FLOW} {source}{_PARALLEL}{number}"
                client.create_flow_run_from_deployment(found[0].id, name=name, parameters=parameters)
    except (httpx.HTTPError, PrefectException, RuntimeError) as error:
        raise FirstPartyGenericError(
            f"The Prefect API did not start the parallel runs of the backfill ({type(error).__name__}).",
            hint="Check that `onepassword-source up` runs, or the server of PREFECT_API_URL.",
            code="prefect",
        ) from None
    get_run_logger().info("%d parallel runs work on backfill %s", runs, job)


def run_name() -> str:
    """The name of this run of the flow. A parallel run keeps its given name, which the flow would replace otherwise."""
    given = str(flow_run.name or "")
    return given if _PARALLEL in given else f"{FLOW} {flow_run.parameters['source']}"


def _no_deployment(source: str) -> ThirdPartyConfigError:
    return ThirdPartyConfigError(
        f"There is no deployment of the flow backfill for {source!r}.",
        hint="Apply the source's file again: `onepassword-source apply FILE`.",
        code="no-deployment",
    )
