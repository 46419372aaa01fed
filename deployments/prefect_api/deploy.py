"""Creates, updates, reads and removes deployments on a Prefect server. `deployment_specs` says what they should be.

This module imports Prefect, so call `server_access.activate` before it is imported.
"""

from __future__ import annotations

import re
import shlex
import threading
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from prefect.client.orchestration import get_client
from prefect.client.schemas import filters
from prefect.client.schemas.actions import DeploymentScheduleCreate, DeploymentUpdate, WorkPoolCreate, WorkPoolUpdate
from prefect.client.schemas.schedules import CronSchedule, IntervalSchedule
from prefect.exceptions import ObjectNotFound

from blocks import python_process
from blocks.prefect_names import deployment_name
from deployments.prefect_api import database, server_access
from deployments.prefect_api.deployment_specs import OF_A_SOURCE, SourceDeployment, source_specs
from deployments.prefect_api.templates import COLLECT, POOL_TYPE, Spec, flow_name, work_pool

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from uuid import UUID

    from prefect import Flow
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.responses import DeploymentResponse

PAGE = 200
"""The most that Prefect's server returns in one response."""

Change = Literal["created", "updated", "unchanged"]
Key = tuple[str, str]
"""The name of a flow and of a deployment of it."""


def parallel_requests() -> int:
    """The number of requests to have under way at a time.

    A server on PostgreSQL works on another request while it waits for the database. SQLite has one writer: the server
    would reject the other requests, and the client waits for seconds before each retry.
    """
    own = database.configured_url() or ""
    return 4 if own.startswith("postgresql") or server_access.external_url() or database.is_embedded() else 1


def deploy_source(deployment: SourceDeployment, like: Sequence[DeploymentResponse] = ()) -> Change:
    """Create or update the deployments of a source. If nothing differs, nothing is written.

    These are the ones that collect, reconcile and backfill it; a source with a flow of its own has only the first. A
    schedule or a deployment that a person has paused stays paused. A new deployment takes the pause and the job
    variables of the one in `like` that has the same flow. Raises Prefect's own exceptions if its server cannot be
    reached.
    """
    with open_deployer() as deployer:
        return deployer.deploy_source(deployment, like)


def deploy_spec(spec: Spec, *, paused: bool = False) -> Change:
    """Create or update the deployment of a filled template."""
    with open_deployer() as deployer:
        return deployer.deploy(spec, paused=paused)


@contextmanager
def open_deployer() -> Iterator[Deployer]:
    """A deployer with its own connection to the Prefect server."""
    with get_client(sync_client=True) as client:
        yield Deployer(client)


class Deployer:
    """Creates and updates deployments through one client, which several threads may use.

    `prefetch` reads hundreds of existing deployments in a few requests. Flows and the work pool are created once.
    """

    def __init__(self, client: SyncPrefectClient) -> None:
        self.client = client
        self._there: dict[Key, DeploymentResponse | None] = {}
        self._flow_ids: dict[str, UUID] = {}
        self._making = threading.Lock()

    def prefetch(self, specs: Iterable[Spec]) -> None:
        """Read the existing deployments of these specs in bulk, instead of one by one when they are deployed."""
        keys = [_key(spec) for spec in specs]
        flows = sorted({flow for flow, _ in keys})
        names = sorted({name for _, name in keys})
        self._there |= dict.fromkeys(keys)
        size = PAGE // max(len(flows), 1)  # so that one page holds all matches
        for start in range(0, len(names), size):
            found = _read_by_name(self.client, flows, names[start : start + size])
            self._there |= {(_flow_of(one), one.name): one for one in found}

    def deploy_source(self, deployment: SourceDeployment, like: Sequence[DeploymentResponse] = ()) -> Change:
        """As the function `deploy_source`."""
        others = {str(one.entrypoint): one for one in like}
        change, *_ = [
            self.deploy(spec, others.get(spec["entrypoint"]), paused=deployment.paused and bool(spec["schedules"]))
            for spec in source_specs(deployment)
        ]
        return change

    def deploy(self, spec: Spec, like: DeploymentResponse | None = None, *, paused: bool = False) -> Change:
        """Create or update one deployment. If nothing differs, nothing is written."""
        key = _key(spec)
        found = self._there[key] if key in self._there else find_by_name(self.client, *key)
        if found is None:
            self._create(spec, like, paused=paused)
            return "created"
        return _update(self.client, found, _desired_fields(spec), _schedules(spec))

    def _create(self, spec: Spec, like: DeploymentResponse | None, *, paused: bool) -> None:
        schedules, members = _schedules(spec), _desired_fields(spec)
        if like is not None:
            members["job_variables"] = _merged_job_variables(members["job_variables"], like.job_variables or {})
            schedules = _with_activity_of(schedules, like)
        self.client.create_deployment(
            flow_id=self._flow_id(spec["entrypoint"]),
            name=spec["name"],
            schedules=schedules,
            paused=paused,
            **members,
        )

    def _flow_id(self, entrypoint: str) -> UUID:
        with self._making:
            if not self._flow_ids:
                ensure_work_pool(self.client)
            if entrypoint not in self._flow_ids:
                self._flow_ids[entrypoint] = self.client.create_flow(_flow(entrypoint))
            return self._flow_ids[entrypoint]


def find_deployment(client: SyncPrefectClient, source: str) -> DeploymentResponse | None:
    """The deployment that collects a source, or None."""
    return find_by_name(client, COLLECT, deployment_name(source))


def find_deployments(client: SyncPrefectClient, sources: Sequence[str]) -> dict[str, DeploymentResponse]:
    """The deployments that collect these sources, by source and in their order, without those that have none."""
    names = {deployment_name(source): source for source in sources}
    wanted, flow = list(names), COLLECT
    pages = (_read_by_name(client, [flow], wanted[start : start + PAGE]) for start in range(0, len(wanted), PAGE))
    found = {names[one.name]: one for page in pages for one in page}
    return {source: found[source] for source in sources if source in found}


def find_by_name(client: SyncPrefectClient, flow: str, name: str) -> DeploymentResponse | None:
    """The deployment of a flow with this name, or None."""
    found = _read_by_name(client, [flow], [name])
    return found[0] if found else None


def _read_by_name(client: SyncPrefectClient, flows: Sequence[str], names: Sequence[str]) -> list[DeploymentResponse]:
    # By filter: a name may hold characters, such as ?, that the path of a single deployment cannot.

    return client.read_deployments(
        flow_filter=filters.FlowFilter(name=filters.FlowFilterName(any_=list(flows))),
        deployment_filter=filters.DeploymentFilter(name=filters.DeploymentFilterName(any_=list(names))),
        limit=PAGE,
    )


def _key(spec: Spec) -> Key:
    return flow_name(spec), spec["name"]


def _flow_of(found: DeploymentResponse) -> str:
    return re.split(r"[.:]", str(found.entrypoint))[-1]


def deployments_of(client: SyncPrefectClient, source: str) -> list[DeploymentResponse]:
    """The deployments of a source: the one that collects it first."""
    found = {_flow_of(one): one for one in _read_by_name(client, OF_A_SOURCE, [deployment_name(source)])}
    return [found[flow] for flow in OF_A_SOURCE if flow in found]


def remove_deployment(source: str) -> bool:
    """Remove the deployments of a source with their scheduled runs. False if none of them collects it."""
    removed = [remove_by_name(flow, deployment_name(source)) for flow in reversed(OF_A_SOURCE)]
    return removed[-1]


def remove_by_name(flow: str, name: str) -> bool:
    """Remove the deployment of a flow with this name. False if there is none."""
    with get_client(sync_client=True) as client:
        found = find_by_name(client, flow, name)
        if found is None:
            return False
        client.delete_deployment(found.id)
        return True


def ensure_work_pool(client: SyncPrefectClient, *, local: bool = False) -> None:
    """Create the work pool if it is missing. With `local`, its runs use this Python, as `up` needs it.

    With the command in the pool, the engine of a run that is not forked starts at once. Otherwise Prefect first starts
    a second Python to look for the code of the flow, which is installed here: 1.5 s of every run.
    """
    template = _job_template(shlex.join(python_process.command("prefect.engine")) if local else None)
    try:
        found = client.read_work_pool(work_pool())
    except ObjectNotFound:
        client.create_work_pool(WorkPoolCreate(name=work_pool(), type=POOL_TYPE, base_job_template=template))
        return
    if local and found.base_job_template != template:
        client.update_work_pool(work_pool(), WorkPoolUpdate(base_job_template=template))


def _job_template(command: str | None) -> dict[str, Any]:
    """What a run of the pool may set: a command, and an environment.

    No more than that: Prefect's server validates the whole template with each deployment and each new run.
    """
    of_command = {"title": "Command", "type": "string", **({"default": command} if command else {})}
    of_env = {"title": "Environment Variables", "type": "object", "additionalProperties": {"type": "string"}}
    properties = {"command": of_command, "env": of_env}
    return {
        "job_configuration": {"command": "{{ command }}", "env": "{{ env }}"},
        "variables": {"type": "object", "properties": properties},
    }


@cache
def _flow(entrypoint: str) -> Flow[..., Any]:
    # Not with Prefect's load_flow_from_entrypoint, which searches the working directory first.
    module, _, name = entrypoint.rpartition(".")
    flow: Flow[..., Any] = getattr(import_module(module), name)
    return flow


@cache
def _parameters_schema(entrypoint: str) -> dict[str, Any]:
    return _flow(entrypoint).parameters.model_dump(exclude_unset=True)


def _desired_fields(spec: Spec) -> dict[str, Any]:
    return {
        "description": spec["description"],
        "entrypoint": spec["entrypoint"],
        "tags": spec["tags"],
        "parameters": spec["parameters"],
        "parameter_openapi_schema": _parameters_schema(spec["entrypoint"]),
        "enforce_parameter_schema": spec["enforce_parameter_schema"],
        "work_pool_name": spec["work_pool"]["name"],
        "job_variables": spec["work_pool"].get("job_variables", {}),
        "pull_steps": [],
        "concurrency_limit": spec["concurrency_limit"]["limit"],
        "concurrency_options": {"collision_strategy": spec["concurrency_limit"]["collision_strategy"]},
    }


def _schedules(spec: Spec) -> list[DeploymentScheduleCreate]:

    return [DeploymentScheduleCreate(schedule=_schedule(one), active=one["active"]) for one in spec["schedules"]]


def _schedule(entry: dict[str, Any]) -> CronSchedule | IntervalSchedule:

    if "cron" in entry:
        return CronSchedule(cron=entry["cron"], timezone=entry["timezone"])
    return IntervalSchedule(
        interval=timedelta(seconds=entry["interval"]), anchor_date=entry["anchor_date"], timezone=entry["timezone"]
    )


def _with_activity_of(
    schedules: list[DeploymentScheduleCreate], like: DeploymentResponse
) -> list[DeploymentScheduleCreate]:
    """These schedules, paused if a person has paused those of another deployment."""
    is_active = any(schedule.active for schedule in like.schedules)
    return [schedule.model_copy(update={"active": is_active}) for schedule in schedules]


def _update(
    client: SyncPrefectClient,
    found: DeploymentResponse,
    members: dict[str, Any],
    schedules: list[DeploymentScheduleCreate],
) -> Change:

    now = _current_fields(found)
    members = {**members, "job_variables": _merged_job_variables(members["job_variables"], found.job_variables or {})}
    differing = {name: value for name, value in members.items() if now[name] != value}
    if [kept.schedule for kept in found.schedules] != [new.schedule for new in schedules]:
        kept = _with_activity_of(schedules, found) if found.schedules else schedules
        differing["schedules"] = [new.model_dump(mode="json") for new in kept]
    if not differing:
        return "unchanged"
    client.update_deployment(found.id, DeploymentUpdate(**differing))
    return "updated"


def _merged_job_variables(ours: dict[str, Any], theirs: dict[str, Any]) -> dict[str, Any]:
    """The job variables that a person has set, including environment variables of the runs, with ours over them."""
    both = {**theirs, **ours}
    return {**both, "env": {**(theirs.get("env") or {}), **ours["env"]}} if "env" in ours else both


def _current_fields(found: DeploymentResponse) -> dict[str, Any]:
    limit, options = found.global_concurrency_limit, found.concurrency_options
    return {
        "description": found.description,
        "entrypoint": found.entrypoint,
        "tags": found.tags,
        "parameters": found.parameters,
        "parameter_openapi_schema": found.parameter_openapi_schema,
        "enforce_parameter_schema": found.enforce_parameter_schema,
        "work_pool_name": found.work_pool_name,
        "job_variables": found.job_variables or {},
        "pull_steps": found.pull_steps or [],
        "concurrency_limit": limit.limit if limit else None,
        "concurrency_options": options.model_dump(mode="json", include={"collision_strategy"}) if options else None,
    }
