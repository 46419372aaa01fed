"""The deployment of a source: made once from prefect.yaml, then left alone."""

from __future__ import annotations

import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.one_machine import run_python
from support.paths import ROOT

from deployments.prefect_api.schedules import COLLECT

if TYPE_CHECKING:
    from support.one_machine import RunningUp

TEMPLATES = ROOT / "deployments" / "prefect.yaml"
PARTS = ("description", "entrypoint", "tags", "parameters", "enforce_parameter_schema", "work_pool_name", "pull_steps")

HEARTBEAT = {"env": {"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30"}}


@pytest.mark.prefect
def test_a_deployment_is_what_the_template_says(running_up: RunningUp) -> None:
    deployment = running_up.deployment("1Pass")
    assert {part: deployment[part] for part in PARTS} == {
        "description": "The source 1Pass",
        "entrypoint": "stand_in.collect",
        "tags": ["1password", "blue"],
        "parameters": {"source": "1Pass"},
        "enforce_parameter_schema": True,
        "work_pool_name": "onepassword-source",
        "pull_steps": [],
    }
    assert [(s["schedule"]["interval"], s["schedule"]["timezone"], s["active"]) for s in deployment["schedules"]] == [
        (300.0, "UTC", True)
    ]
    anchor = datetime.fromisoformat(deployment["schedules"][0]["schedule"]["anchor_date"])
    assert anchor == COLLECT.anchor("1Pass"), "it has no id here, so its name gives the second"
    assert deployment["global_concurrency_limit"]["limit"] == 4
    assert deployment["job_variables"] == HEARTBEAT
    assert deployment["concurrency_options"]["collision_strategy"] == "CANCEL_NEW"
    assert set(deployment["parameter_openapi_schema"]["properties"]) == {"source", "pages", "deaf"}
    assert str(Path.home()) not in str(deployment)


@pytest.mark.prefect
def test_deploying_again_writes_only_what_differs_and_keeps_a_pause(running_up: RunningUp) -> None:
    before = running_up.deployment("1Pass")
    schedule = before["schedules"][0]["id"]
    path = f"/api/deployments/{before['id']}/schedules/{schedule}"
    assert running_up.ask("PATCH", path, json={"active": False}).status_code == 204
    theirs = {"env": {"NO_PROXY": "x"}, "stream_output": True}
    answer = running_up.ask("PATCH", f"/api/deployments/{before['id']}", json={"job_variables": theirs})
    assert answer.status_code == 204
    code = """
from deployments.prefect_api import server_access
server_access.activate()
from deployments.prefect_api.deploy import deploy_source, remove_deployment
from deployments.prefect_api.deployment_specs import SourceDeployment
same = SourceDeployment("1Pass", "The source 1Pass", ("blue",), "stand_in.collect")
print(deploy_source(same))
print(deploy_source(same))
print(deploy_source(SourceDeployment("1Pass", "Another account", ("blue",), "stand_in.collect")))
print(deploy_source(same), deploy_source(same))
odd = SourceDeployment("What? Größe & 50%", None, (), "stand_in.collect")
print(deploy_source(odd), deploy_source(odd))
print(remove_deployment(odd.source), remove_deployment(odd.source))
"""
    changes = run_python(code, running_up.env, running_up.directory).split()
    assert changes[:5] == ["updated", "unchanged", "updated", "updated", "unchanged"]
    assert changes[5:] == ["created", "unchanged", "True", "False"]
    after = running_up.deployment("1Pass")
    assert {part: after[part] for part in PARTS} == {part: before[part] for part in PARTS}
    assert [(s["id"], s["active"]) for s in after["schedules"]] == [(schedule, False)]
    assert after["job_variables"] == {**theirs, "env": {**theirs["env"], **HEARTBEAT["env"]}}
    assert running_up.ask("PATCH", path, json={"active": True}).status_code == 204


@pytest.mark.prefect
@pytest.mark.torture
def test_prefects_own_command_deploys_the_template_and_apply_gives_it_a_time_of_its_own(running_up: RunningUp) -> None:
    env = {**running_up.env, "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "SOURCE": "by hand"}
    script = 'eval "$(python -c "$1")" && prefect --no-prompt deploy --prefect-file "$0" -n "$2"'
    exports = "from deployments.prefect_api.server_access import shell_exports; print(shell_exports())"
    command = ["sh", "-c", script, str(TEMPLATES), exports, "{{ $SOURCE }}"]
    done = subprocess.run(
        command, env=env, cwd=running_up.directory, capture_output=True, text=True, timeout=90, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert running_up.deployment("by hand")["parameters"] == {"source": "by hand"}
    code = """
from deployments.prefect_api import server_access
server_access.activate()
from deployments.prefect_api.deploy import deploy_source
from deployments.prefect_api.deployment_specs import SourceDeployment
def ticks():
    from prefect.client.orchestration import get_client
    from deployments.prefect_api.deploy import deployments_of
    with get_client(sync_client=True) as client:
        found = deployments_of(client, "by hand")
    found = [one.schedules[0] for one in found if one.schedules]
    return [(one.schedule.anchor_date.isoformat(), one.active) for one in found]
print(ticks())
wanted = SourceDeployment("by hand", source_id="1" * 32)
print(deploy_source(wanted), deploy_source(wanted))
print(ticks())
"""
    assert run_python(code, running_up.env, running_up.directory).splitlines() == [
        "[('2026-01-01T00:00:00+00:00', True), ('2026-01-01T02:41:00+00:00', True)]",
        "updated unchanged",
        "[('2026-01-01T00:02:20+00:00', True), ('2026-01-01T01:17:00+00:00', True)]",
    ]
    assert running_up.deployment("by hand")["parameters"] == {"source": "by hand", "source_id": "1" * 32}
