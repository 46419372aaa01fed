"""What deployments should be: the templates of prefect.yaml, filled in for a source."""

from __future__ import annotations

from dataclasses import replace

import pytest
import yaml

from deployments.prefect_api import deployment_specs
from deployments.prefect_api.deployment_specs import (
    BACKFILL,
    COLLECT,
    FORWARD,
    PRUNE,
    RECONCILE,
    TEMPLATES,
    SourceDeployment,
    flow_name,
    read_template,
    source_specs,
    staggered_schedules,
)
from deployments.tick_offsets import COLLECT as COLLECT_TICKS
from deployments.tick_offsets import RECONCILE as RECONCILE_TICKS

WANTED = SourceDeployment("1Pass", "The source 1Pass", ("blue", "1password"), source_id="0" * 32)
FLOWS = (COLLECT, RECONCILE, BACKFILL, FORWARD, PRUNE)


def test_each_flow_has_one_template() -> None:
    entries = yaml.safe_load(TEMPLATES.read_bytes())["deployments"]
    assert sorted(flow_name(entry) for entry in entries) == sorted(FLOWS)


@pytest.mark.parametrize("flow", FLOWS)
def test_a_template_names_an_installed_flow_our_work_pool_and_the_heartbeat(flow: str) -> None:
    template = read_template(flow)
    assert template["entrypoint"] == f"flows.{flow}.{flow}"
    assert template["work_pool"]["name"] == deployment_specs.work_pool() == "onepassword-source"
    assert template["work_pool"]["job_variables"]["env"] == {"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30"}
    assert template["enforce_parameter_schema"] is True


def test_deploying_the_file_never_starts_to_remove_events() -> None:
    assert [schedule["active"] for schedule in read_template(PRUNE)["schedules"]] == [False]
    others = [schedule["active"] for flow in FLOWS[:-1] for schedule in read_template(flow)["schedules"]]
    assert others == [True, True, True], "those of collect, reconcile and forward"


def test_a_source_has_a_deployment_for_each_of_three_flows_and_collect_comes_first() -> None:
    specs = source_specs(WANTED)
    assert [flow_name(spec) for spec in specs] == [COLLECT, RECONCILE, BACKFILL]
    assert {spec["name"] for spec in specs} == {"1Pass"}
    assert {spec["parameters"]["source"] for spec in specs} == {"1Pass"}
    assert {spec["parameters"]["source_id"] for spec in specs} == {"0" * 32}


def test_the_description_is_that_of_collect_and_tags_are_not_repeated() -> None:
    collect, reconcile, _ = source_specs(WANTED)
    assert collect["description"] == "The source 1Pass"
    assert reconcile["description"] == read_template(RECONCILE)["description"]
    assert collect["tags"] == reconcile["tags"] == ["1password", "blue"]


def test_schedules_tick_at_the_time_of_the_id_or_without_one_of_the_name() -> None:
    collect, reconcile, backfill = source_specs(WANTED)
    assert collect["schedules"][0]["anchor_date"] == COLLECT_TICKS.anchor("0" * 32)
    assert reconcile["schedules"][0]["anchor_date"] == RECONCILE_TICKS.anchor("0" * 32)
    assert backfill["schedules"] == []
    nameless = source_specs(replace(WANTED, source_id=None))[0]
    assert nameless["schedules"][0]["anchor_date"] == COLLECT_TICKS.anchor("1Pass")
    assert "source_id" not in nameless["parameters"]


def test_a_source_with_a_flow_of_its_own_has_only_that_one() -> None:
    (spec,) = source_specs(replace(WANTED, entrypoint="other.collect"))
    assert (spec["entrypoint"], spec["description"]) == ("other.collect", "The source 1Pass")


def test_filling_leaves_the_templates_as_they_are() -> None:
    before = yaml.safe_load(TEMPLATES.read_bytes())["deployments"]
    source_specs(WANTED)
    assert [read_template(flow_name(entry)) for entry in before] == before


def test_a_flow_without_ticks_keeps_the_schedule_of_its_template() -> None:
    template = read_template(PRUNE)
    assert staggered_schedules(template, "any key") == template["schedules"]
