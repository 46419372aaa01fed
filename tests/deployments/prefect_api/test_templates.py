"""The templates of prefect.yaml: one for each flow, and what they promise."""

from __future__ import annotations

import pytest
import yaml

from deployments.prefect_api.templates import (
    BACKFILL,
    COLLECT,
    FORWARD,
    PRUNE,
    RECONCILE,
    TEMPLATES,
    flow_name,
    interval,
    read_template,
    work_pool,
)

FLOWS = (COLLECT, RECONCILE, BACKFILL, FORWARD, PRUNE)


def test_each_flow_has_one_template() -> None:
    entries = yaml.safe_load(TEMPLATES.read_bytes())["deployments"]
    assert sorted(flow_name(entry) for entry in entries) == sorted(FLOWS)


@pytest.mark.parametrize("flow", FLOWS)
def test_a_template_names_an_installed_flow_our_work_pool_and_the_heartbeat(flow: str) -> None:
    template = read_template(flow)
    assert template["entrypoint"] == f"flows.{flow}.{flow}"
    assert template["work_pool"]["name"] == work_pool() == "onepassword-source"
    assert template["work_pool"]["job_variables"]["env"] == {"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30"}
    assert template["enforce_parameter_schema"] is True


def test_deploying_the_file_never_starts_to_remove_events() -> None:
    assert [schedule["active"] for schedule in read_template(PRUNE)["schedules"]] == [False]
    others = [schedule["active"] for flow in FLOWS[:-1] for schedule in read_template(flow)["schedules"]]
    assert others == [True, True, True], "those of collect, reconcile and forward"


def test_a_source_is_collected_every_five_minutes_forwarded_each_hour_and_compared_each_day() -> None:
    assert [interval(flow) for flow in (COLLECT, FORWARD, RECONCILE)] == [300, 3600, 86_400]
