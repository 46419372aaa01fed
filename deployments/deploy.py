"""A source's deployment on a Prefect server, made from the template in prefect.yaml.

Prefect is imported inside the functions: its settings come from the environment (see `prefect_access.activate`).
"""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from blocks.names import deployment_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from prefect import Flow
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.actions import DeploymentScheduleCreate
    from prefect.client.schemas.responses import DeploymentResponse

TEMPLATE = Path(__file__).with_name("prefect.yaml")
BESIDE = tuple(Path(__file__).with_name(name) for name in ("reconcile.yaml", "backfill.yaml"))
"""What is deployed beside the collection of a source."""
SOURCE = "{{ $SOURCE }}"
POOL_TYPE = "onepassword-source"

Change = Literal["created", "updated", "unchanged"]


@dataclass(frozen=True)
class SourceDeployment:
    """What the deployment of a source says about it. `tags` come after the template's own."""

    source: str
    description: str | None = None
    tags: tuple[str, ...] = ()
    entrypoint: str | None = None
    """Another flow than the template's, as `module.function`."""
    paused: bool = False
    """Whether a new deployment starts paused; one that is there stays as it is."""


def work_pool() -> str:
    """The name of the work pool that all deployments use."""
    return str(_template()["work_pool"]["name"])


def deploy_source(wanted: SourceDeployment, like: Sequence[DeploymentResponse] = ()) -> Change:
    """Create or update the deployment of a source; where nothing differs, nothing is written.

    So are those that reconcile and backfill it, unless it has a flow of its own. A schedule or a deployment that a
    person has paused stays paused. A new one takes what a person has set in that of `like` with the same flow.
    Prefect's own exceptions where its server cannot be reached.
    """
    others = {str(one.entrypoint): one for one in like}
    templates = [_filled(_template(), wanted)]
    if wanted.entrypoint is None:
        templates += [_filled(read_template(path), replace(wanted, description=None)) for path in BESIDE]
    specs = [(spec, others.get(spec["entrypoint"])) for spec in templates]
    change, *_ = [deploy_spec(spec, other, paused=wanted.paused and bool(spec["schedules"])) for spec, other in specs]
    return change


def deploy_spec(spec: dict[str, Any], like: DeploymentResponse | None = None, *, paused: bool = False) -> Change:
    """The same for a template's entry that is filled in already."""
    from prefect.client.orchestration import get_client  # noqa: PLC0415 - see the module's docstring

    flow = _flow(spec["entrypoint"])
    with get_client(sync_client=True) as client:
        found = find_named(client, flow.name, spec["name"])
        if found is None:
            ensure_work_pool(client)
            _create(client, flow, spec, like, paused=paused)
            return "created"
        return _update(client, found, _members(flow, spec), _schedules(spec))


def find_deployment(client: SyncPrefectClient, source: str) -> DeploymentResponse | None:
    """The deployment of a source, or None where there is none."""
    return find_named(client, flow_name(_template()), deployment_name(source))


def find_named(client: SyncPrefectClient, flow: str, name: str) -> DeploymentResponse | None:
    """The deployment of that name of any flow, or None where there is none."""
    # By filter: a name may hold characters, such as ?, that the address of a single deployment cannot.
    from prefect.client.schemas import filters  # noqa: PLC0415 - see the module's docstring

    found = client.read_deployments(
        flow_filter=filters.FlowFilter(name=filters.FlowFilterName(any_=[flow])),
        deployment_filter=filters.DeploymentFilter(name=filters.DeploymentFilterName(any_=[name])),
    )
    return found[0] if found else None


def deployments_of(client: SyncPrefectClient, source: str) -> list[DeploymentResponse]:
    """The deployments of a source: the one that collects it, and those beside it."""
    flows = [flow_name(template) for template in (_template(), *map(read_template, BESIDE))]
    found = [find_named(client, flow, deployment_name(source)) for flow in flows]
    return [one for one in found if one is not None]


def remove_deployment(source: str) -> bool:
    """Remove the deployment of a source with its scheduled runs; False where there is none.

    Those beside it go too.
    """
    for path in BESIDE:
        remove_named(flow_name(read_template(path)), deployment_name(source))
    return remove_named(flow_name(_template()), deployment_name(source))


def remove_named(flow: str, name: str) -> bool:
    """The same for a deployment of that name of any flow."""
    from prefect.client.orchestration import get_client  # noqa: PLC0415 - see the module's docstring

    with get_client(sync_client=True) as client:
        found = find_named(client, flow, name)
        if found is None:
            return False
        client.delete_deployment(found.id)
        return True


def ensure_work_pool(client: SyncPrefectClient, *, local: bool = False) -> None:
    """Make the work pool where it is missing. `local`: its runs use this very Python, as `up` wants it.

    Named so, the engine starts at once. Otherwise Prefect first starts a second Python to look for the flow's
    code, which here is installed: 1.5 s of every run.
    """
    from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate  # noqa: PLC0415 - see above
    from prefect.exceptions import ObjectNotFound  # noqa: PLC0415
    from prefect.workers.process import ProcessWorker  # noqa: PLC0415

    template = ProcessWorker.get_default_base_job_template()
    if local:
        command = shlex.join([sys.executable, "-m", "prefect.engine"])
        template["variables"]["properties"]["command"]["default"] = command
    try:
        found = client.read_work_pool(work_pool())
    except ObjectNotFound:
        client.create_work_pool(WorkPoolCreate(name=work_pool(), type=POOL_TYPE, base_job_template=template))
        return
    if local and found.base_job_template != template:
        client.update_work_pool(work_pool(), WorkPoolUpdate(base_job_template=template))


@cache
def read_template(path: Path) -> dict[str, Any]:
    """The first deployment in a file of Prefect's form."""
    import yaml  # noqa: PLC0415 - comes with Prefect, and is asked for only with it

    template: dict[str, Any] = yaml.safe_load(path.read_bytes())["deployments"][0]
    return template


def flow_name(template: dict[str, Any]) -> str:
    return str(template["entrypoint"]).rpartition(".")[2]


def _template() -> dict[str, Any]:
    return read_template(TEMPLATE)


def _filled(template: dict[str, Any], wanted: SourceDeployment) -> dict[str, Any]:
    return {
        **template,
        "name": deployment_name(wanted.source),
        "description": wanted.description or template["description"],
        "entrypoint": wanted.entrypoint or template["entrypoint"],
        "tags": list(dict.fromkeys([*template["tags"], *wanted.tags])),
        "parameters": {k: wanted.source if v == SOURCE else v for k, v in template["parameters"].items()},
    }


@cache
def _flow(entrypoint: str) -> Flow[..., Any]:
    from prefect.flows import load_flow_from_entrypoint  # noqa: PLC0415 - see the module's docstring

    return load_flow_from_entrypoint(entrypoint)


def _members(flow: Flow[..., Any], spec: dict[str, Any]) -> dict[str, Any]:
    return {
        "description": spec["description"],
        "entrypoint": spec["entrypoint"],
        "tags": spec["tags"],
        "parameters": spec["parameters"],
        "parameter_openapi_schema": flow.parameters.model_dump(exclude_unset=True),
        "enforce_parameter_schema": spec["enforce_parameter_schema"],
        "work_pool_name": spec["work_pool"]["name"],
        "job_variables": spec["work_pool"].get("job_variables", {}),
        "pull_steps": [],
        "concurrency_limit": spec["concurrency_limit"]["limit"],
        "concurrency_options": {"collision_strategy": spec["concurrency_limit"]["collision_strategy"]},
    }


def _schedules(spec: dict[str, Any]) -> list[DeploymentScheduleCreate]:
    from prefect.client.schemas.actions import DeploymentScheduleCreate  # noqa: PLC0415 - see above
    from prefect.client.schemas.schedules import CronSchedule  # noqa: PLC0415

    return [
        DeploymentScheduleCreate(
            schedule=CronSchedule(cron=entry["cron"], timezone=entry["timezone"]), active=entry["active"]
        )
        for entry in spec["schedules"]
    ]


def _create(
    client: SyncPrefectClient,
    flow: Flow[..., Any],
    spec: dict[str, Any],
    like: DeploymentResponse | None,
    *,
    paused: bool,
) -> None:
    schedules, members = _schedules(spec), _members(flow, spec)
    if like is not None:
        members["job_variables"] = _with(members["job_variables"], like.job_variables or {})
        is_active = any(schedule.active for schedule in like.schedules)
        schedules = [schedule.model_copy(update={"active": is_active}) for schedule in schedules]
    client.create_deployment(
        flow_id=client.create_flow(flow), name=spec["name"], schedules=schedules, paused=paused, **members
    )


def _update(
    client: SyncPrefectClient,
    found: DeploymentResponse,
    members: dict[str, Any],
    schedules: list[DeploymentScheduleCreate],
) -> Change:
    from prefect.client.schemas.actions import DeploymentUpdate  # noqa: PLC0415 - see the module's docstring

    now = _members_of(found)
    members = {**members, "job_variables": _with(members["job_variables"], found.job_variables or {})}
    differing = {name: value for name, value in members.items() if now[name] != value}
    if [kept.schedule for kept in found.schedules] != [new.schedule for new in schedules]:
        differing["schedules"] = [new.model_dump(mode="json") for new in schedules]
    if not differing:
        return "unchanged"
    client.update_deployment(found.id, DeploymentUpdate(**differing))
    return "updated"


def _with(ours: dict[str, Any], theirs: dict[str, Any]) -> dict[str, Any]:
    """The job variables that a person has set, an environment of the runs among them, and ours over them."""
    both = {**theirs, **ours}
    return {**both, "env": {**(theirs.get("env") or {}), **ours["env"]}} if "env" in ours else both


def _members_of(found: DeploymentResponse) -> dict[str, Any]:
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
