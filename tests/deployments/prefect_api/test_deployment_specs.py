"""What deployments should be: the templates of prefect.yaml, filled in for a source."""

from __future__ import annotations

from dataclasses import replace

import yaml

from deployments.prefect_api import schedules
from deployments.prefect_api.deployment_specs import SourceDeployment, source_specs
from deployments.prefect_api.templates import BACKFILL, COLLECT, RECONCILE, TEMPLATES, flow_name, read_template

WANTED = SourceDeployment("1Pass", "The source 1Pass", ("blue", "1password"), source_id="0" * 32)


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
    assert collect["schedules"][0]["anchor_date"] == schedules.COLLECT.anchor("0" * 32)
    assert reconcile["schedules"][0]["anchor_date"] == schedules.RECONCILE.anchor("0" * 32)
    assert backfill["schedules"] == []
    nameless = source_specs(replace(WANTED, source_id=None))[0]
    assert nameless["schedules"][0]["anchor_date"] == schedules.COLLECT.anchor("1Pass")
    assert "source_id" not in nameless["parameters"]


def test_a_source_with_a_flow_of_its_own_has_only_that_one() -> None:
    (spec,) = source_specs(replace(WANTED, entrypoint="other.collect"))
    assert (spec["entrypoint"], spec["description"]) == ("other.collect", "The source 1Pass")


def test_filling_leaves_the_templates_as_they_are() -> None:
    before = yaml.safe_load(TEMPLATES.read_bytes())["deployments"]
    source_specs(WANTED)
    assert [read_template(flow_name(entry)) for entry in before] == before
