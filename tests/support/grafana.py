"""Replace the variables and macros of a dashboard's queries as Grafana does, by its documentation."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from support.paths import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

DIRECTORY = ROOT / "deployments" / "monitoring"
DASHBOARDS = ("grafana-prometheus.json", "grafana-postgresql.json")


def read_dashboard(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((DIRECTORY / name).read_text())
    return found


def panels(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    """All panels except those of type "row"."""
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def targets(dashboard: dict[str, Any]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Each query with its panel."""
    for panel in panels(dashboard):
        for target in panel["targets"]:
            yield panel, target


def promql(expr: str, interval: str = "1m") -> str:
    """The expression that Grafana sends to Prometheus if all values of each variable are selected."""
    found = re.sub(r"\$(source|siem)\b", ".*", expr.replace("$__rate_interval", interval))
    assert "$" not in found, found
    return found


def sql(text: str, from_ns: int, to_ns: int, sources: list[str], interval_s: int = 3600) -> str:
    """The statement that Grafana sends to PostgreSQL."""
    quoted = ",".join("'" + name.replace("'", "''") + "'" for name in sources)
    found = text.replace("${source:sqlstring}", quoted).replace("$__interval", f"{interval_s}s")
    while match := re.search(r"\$(__\w+)\(", found):
        end = _closing(found, match.end())
        arguments = [one.strip() for one in found[match.end() : end].split(",")]
        found = found[: match.start()] + _macro(match[1], arguments, from_ns, to_ns) + found[end + 1 :]
    assert "$" not in found, found
    return found


def _closing(text: str, start: int) -> int:
    """The index of the parenthesis that closes the arguments."""
    depth = 1
    for place in range(start, len(text)):
        depth += {"(": 1, ")": -1}.get(text[place], 0)
        if not depth:
            return place
    raise AssertionError(text)


def _macro(name: str, arguments: list[str], from_ns: int, to_ns: int) -> str:
    column = arguments[0]
    if name == "__unixEpochNanoFilter":
        return f"{column} >= {from_ns} AND {column} <= {to_ns}"
    if name == "__unixEpochFilter":
        return f"{column} >= {from_ns // 10**9} AND {column} <= {to_ns // 10**9}"
    seconds = _seconds(arguments[1])
    if name == "__timeGroupAlias":
        return f'floor(extract(epoch from {column})/{seconds})*{seconds} AS "time"'
    if name == "__unixEpochGroupAlias":
        return f'floor(({column})/{seconds})*{seconds} AS "time"'
    raise AssertionError(f"{name} is no macro that the dashboards use")


def _seconds(text: str) -> int:
    return int(text[:-1]) * {"s": 1, "m": 60, "h": 3600}[text[-1]]
