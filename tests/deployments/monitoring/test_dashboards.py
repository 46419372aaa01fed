"""The dashboards have the form of Grafana's own schema, as its Foundation SDK has it. No Grafana loads them here."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import pytest
from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard
from support.grafana import DASHBOARDS, panels, read_dashboard, targets

if TYPE_CHECKING:
    from collections.abc import Iterator

OF_AN_EXPORT = ("__inputs", "__requires")
"""Grafana's import reads these, and removes them."""

plugins.register_default_plugins()


def lost(given: Any, back: Any, path: str = "$") -> Iterator[str]:
    """Where Grafana's models did not keep what they were given, since they have no such member."""
    if isinstance(given, dict) and isinstance(back, dict):
        for name, value in given.items():
            if name in back:
                yield from lost(value, back[name], f"{path}.{name}")
            else:
                yield f"{path}.{name}"
    elif isinstance(given, list) and isinstance(back, list) and len(given) == len(back):
        for place, (one, other) in enumerate(zip(given, back, strict=True)):
            yield from lost(one, other, f"{path}[{place}]")
    elif given != back:
        yield path


def through_models(dashboard: dict[str, Any]) -> Any:
    own = {name: value for name, value in dashboard.items() if name not in OF_AN_EXPORT}
    return json.loads(JSONEncoder(sort_keys=True).encode(Dashboard.from_json(own)))


@pytest.mark.parametrize("name", DASHBOARDS)
def test_grafana_s_models_know_every_member(name: str) -> None:
    dashboard = read_dashboard(name)
    given = {name: value for name, value in dashboard.items() if name not in OF_AN_EXPORT}
    assert list(lost(given, through_models(dashboard))) == []


def test_a_member_that_grafana_does_not_know_is_found() -> None:
    dashboard = copy.deepcopy(read_dashboard(DASHBOARDS[0]))
    panel = panels(dashboard)[0]
    panel["options"]["colourMode"] = panel["targets"][0]["expression"] = panel["gridPosition"] = "x"
    found = list(lost({"panels": dashboard["panels"]}, through_models(dashboard)))
    assert [path.rpartition(".")[2] for path in found] == ["expression", "colourMode", "gridPosition"] or len(
        found
    ) == 3


@pytest.mark.parametrize("name", DASHBOARDS)
def test_an_import_asks_for_the_data_source_and_every_panel_uses_it(name: str) -> None:
    dashboard = read_dashboard(name)
    (data_source,) = dashboard["__inputs"]
    own = {"type": data_source["pluginId"], "uid": f"${{{data_source['name']}}}"}
    assert all(panel["datasource"] == own for panel in panels(dashboard))
    assert all(target["datasource"] == own for _, target in targets(dashboard))
    assert all(one["datasource"] == own for one in dashboard["templating"]["list"])
    required = {one["id"] for one in dashboard["__requires"]}
    assert required == {"grafana", data_source["pluginId"]} | {panel["type"] for panel in panels(dashboard)}


@pytest.mark.parametrize("name", DASHBOARDS)
def test_panels_have_titles_and_ids_and_do_not_overlap(name: str) -> None:
    dashboard = read_dashboard(name)
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(ids)
    assert all(panel["title"] for panel in dashboard["panels"])
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24
        assert not cells & taken
        taken |= cells
