"""The run form of the Prefect UI: what each flow's parameters look like there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from flows.backfill import backfill
from flows.collect import collect
from flows.form import ApiName
from flows.forward import forward
from flows.prune import prune
from flows.reconcile import reconcile

if TYPE_CHECKING:
    from prefect import Flow

FLOWS = (backfill, collect, forward, reconcile)


@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: flow.name)
def test_no_default_is_none_since_the_form_would_send_it(flow: Flow[..., Any]) -> None:
    for name, shown in flow.parameters.properties.items():
        assert shown.get("default", "") is not None, name


@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: flow.name)
def test_no_parameter_is_a_choice_between_none_and_a_value(flow: Flow[..., Any]) -> None:
    assert not any("anyOf" in shown for shown in flow.parameters.properties.values())


def test_times_have_a_calendar_and_apis_a_list_to_choose_from() -> None:
    properties = backfill.parameters.properties
    assert (properties["start"]["format"], properties["end"]["format"]) == ("date-time", "date-time")
    assert properties["apis"]["items"]["enum"] == list(ApiName.__args__)  # type: ignore[attr-defined]


@pytest.mark.parametrize("flow", [*FLOWS, prune], ids=lambda flow: flow.name)
def test_each_parameter_is_described_in_the_form(flow: Flow[..., Any]) -> None:
    assert all(shown.get("description") for shown in flow.parameters.properties.values())


def test_the_entry_points_and_names_of_flows_stay_since_deployments_refer_to_them() -> None:
    assert [flow.name for flow in (*FLOWS, prune)] == ["backfill", "collect", "forward", "reconcile", "prune"]
