"""A real Prometheus scrapes a real `/metrics`, and evaluates each expression of the dashboard and the alert rules."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn
from support import rich_store
from support.grafana import DIRECTORY, promql, read_dashboard, targets
from support.one_machine import free_port, wait_until
from support.prometheus import JOB, Prometheus, promtool, scraping
from support.reference import metrics

from blocks import clock
from blocks.store.engine import open_engine
from deployments import cli, up_health
from deployments.one_machine.health_pages import HealthPages
from deployments.up_health import Trouble, UpHealth

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.processes

ALERTS = DIRECTORY / "alerts.yaml"
DASHBOARD = read_dashboard("grafana-prometheus.json")
TARGETS = [(panel["title"], target["expr"]) for panel, target in targets(DASHBOARD)]
FIRING = {
    "OnePasswordSourceInError",
    "OnePasswordEventsQuarantined",
    "OnePasswordEventsRejected",
    "OnePasswordUpUnhealthy",
}
"""What the store and `up` of these tests have. The last one waits five minutes, so it is pending."""


async def _not_found(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 404, "headers": []})
    await send({"type": "http.response.body", "body": b""})


@pytest.fixture(scope="module")
def rich(migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The store of the environment has something of every kind."""
    file = tmp_path_factory.mktemp("rich") / "events.db"
    shutil.copy(migrated_sqlite, file)
    url = f"sqlite:///{file}"
    opened = open_engine(url)
    rich_store.fill(opened, url)
    opened.dispose()
    before = os.environ.get("ONEPASSWORD_SOURCE_DATABASE_URL")
    os.environ["ONEPASSWORD_SOURCE_DATABASE_URL"] = url
    yield url
    if before is None:
        del os.environ["ONEPASSWORD_SOURCE_DATABASE_URL"]
    else:
        os.environ["ONEPASSWORD_SOURCE_DATABASE_URL"] = before


@pytest.fixture(scope="module")
def metrics_page(rich: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`host:port` of the pages that `up` serves, with a problem of `up`."""
    file = tmp_path_factory.mktemp("up") / "up-health.json"
    trouble = Trouble("worker", "The worker has ended.", clock.now())
    up_health.write(file, UpHealth(clock.now(), False, (trouble,), clock.now(), 0, 1))
    port = free_port()
    pages = HealthPages(_not_found, file, auth=None)
    server = uvicorn.Server(uvicorn.Config(pages, port=port, log_level="error", lifespan="off"))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()), daemon=True)
    thread.start()
    wait_until(lambda: server.started)
    yield f"127.0.0.1:{port}"
    server.should_exit = True
    thread.join()


@pytest.fixture(scope="module")
def prometheus(metrics_page: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    with scraping(metrics_page, tmp_path_factory.mktemp("prometheus"), ALERTS) as running:
        yield running


def test_prometheus_has_every_metric_with_its_labels_and_help(prometheus: Prometheus) -> None:
    """The reference is the exposition: every metric of the page arrives, but for an account that is paused."""
    for name, labels in metrics.names().items():
        if name.endswith("rate_limit_paused_until_timestamp_seconds"):
            continue
        found = prometheus.query(name)
        assert found, name
        for series in found:
            assert set(series["metric"]) - {"__name__", "instance", "job"} == set(labels), name
    described = prometheus.get("metadata")
    bases = {name.removesuffix("_total") for name in metrics.names()}
    assert {name.removesuffix("_total") for name in described if name.startswith("onepassword_source_")} >= bases - {
        "onepassword_source_rate_limit_paused_until_timestamp_seconds"
    }


@pytest.mark.parametrize(("title", "expr"), TARGETS, ids=[f"{title}-{n}" for n, (title, _) in enumerate(TARGETS)])
def test_an_expression_of_the_dashboard_gives_series(title: str, expr: str, prometheus: Prometheus) -> None:
    assert set(re.findall(r"\bonepassword_source_\w+", expr)) <= set(metrics.names())
    sent = promql(expr)
    assert prometheus.query(sent), title
    now = time.time()
    found = prometheus.get("query_range", query=sent, start=now - 60, end=now, step=15)
    assert found["resultType"] == "matrix"


@pytest.mark.parametrize("variable", DASHBOARD["templating"]["list"], ids=lambda variable: variable["name"])
def test_a_variable_has_values(variable: dict[str, Any], prometheus: Prometheus) -> None:
    found = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["query"]["query"])
    assert found
    assert prometheus.get(f"label/{found[2]}/values", **{"match[]": found[1]})


def test_prometheus_evaluates_every_rule_and_the_right_ones_fire(prometheus: Prometheus) -> None:
    def evaluated() -> list[dict[str, Any]]:
        found = [rule for group in prometheus.get("rules")["groups"] for rule in group["rules"]]
        return found if all(rule["evaluationTime"] for rule in found) else []

    found = wait_until(evaluated)
    assert [(rule["name"], rule["lastError"]) for rule in found if rule["health"] != "ok"] == []
    wait_until(lambda: {rule["name"] for rule in evaluated() if rule["state"] != "inactive"} == FIRING)


def test_a_scrape_that_fails_is_seen(prometheus: Prometheus) -> None:
    (sample,) = prometheus.query(f'up{{job="{JOB}"}}')
    assert sample["value"][1] == "1"


def test_promtool_accepts_the_textfile(rich: str, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    assert cli.main(["status", "--format", "prometheus"]) == cli.IN_ERROR
    written = capsysbinary.readouterr().out.decode()
    assert "onepassword_source_condition{" in written
    promtool("check", "metrics", text=written)
