"""Prefect's UI, as `up` serves it, in a real browser: it stays on this server, and none of its pages breaks."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import httpx
import pytest
from support import browser
from support.one_machine import run_python, wait_until

from deployments.one_machine import browser_isolation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page
    from support.one_machine import RunningUp

pytestmark = pytest.mark.prefect

PAGES = (
    "/dashboard", "/runs", "/flows", "/deployments", "/work-pools", "/work-pools/create", "/blocks", "/blocks/catalog",
    "/blocks/catalog/1password-source", "/blocks/catalog/1password-siem-splunk/create", "/variables", "/automations",
    "/automations/create", "/events", "/artifacts", "/concurrency-limits", "/settings", "/there-is-no-such-page",
)  # fmt: skip
LISTS_RUNS = (
    "/runs?state=Completed",
    "/deployments/deployment/{id}?tab=Runs",
    "/flows/flow/{flow_id}",
    "/work-pools/work-pool/{work_pool_name}?tab=Runs",
)
LOAD = 90_000
"""Milliseconds that a page may take to show something on a busy machine."""
SETTLE = 1500
"""Milliseconds that a page may still ask for something in, once nothing is under way."""
MAKE_BLOCK = """
from deployments.prefect_api import server_access
server_access.activate()
from prefect.client.orchestration import get_client
from deployments import sources
from deployments.prefect_api import block_documents
from blocks.siem.webhook.block import Webhook
sources.register_blocks(siems=True)
with get_client(sync_client=True) as client:
    print(block_documents.save(client, Webhook(url="https://siem.example"), "soc", None))
"""


@pytest.fixture
def origin(running_up: RunningUp) -> str:
    return f"http://127.0.0.1:{running_up.port}"


@pytest.fixture
def page() -> Iterator[Page]:
    with browser.opened() as opened:
        yield opened


def _log_in(page: Page, origin: str, up: RunningUp) -> None:
    page.goto(f"{origin}/console/login")
    key = base64.b64encode(":".join(up.auth).encode()).decode()
    page.evaluate("key => localStorage.setItem('prefect-password', key)", key)


def _own_pages(up: RunningUp) -> list[str]:
    """The pages of what is there: a deployment, its flow, a run, the blocks of a source, the work pool."""
    deployment = up.deployment("1Pass")
    (run, *_) = up.ask("POST", "/api/flow_runs/filter", json={"limit": 1}).json()
    blocks = up.ask("POST", "/api/block_documents/filter", json={}).json()
    pages = [f"/blocks/block/{block['id']}{more}" for block in blocks for more in ("", "/edit")]
    return [
        *pages,
        f"/deployments/deployment/{deployment['id']}",
        f"/deployments/deployment/{deployment['id']}/run",
        f"/flows/flow/{deployment['flow_id']}",
        f"/runs/flow-run/{run['id']}",
        f"/work-pools/work-pool/{deployment['work_pool_name']}",
    ]


def test_no_page_leaves_the_server_and_none_breaks(running_up: RunningUp, origin: str, page: Page) -> None:
    """Foreign requests, blocked answers, errors of the console and violations of the policy, page by page."""
    run_python(MAKE_BLOCK, running_up.env, running_up.directory)
    _log_in(page, origin, running_up)
    page.goto(f"{origin}/dashboard")
    observed = browser.observe(page, origin)
    own = _own_pages(running_up)
    assert len(own) >= 7
    for path in (*PAGES, *own):
        page.goto(origin + path)
        page.wait_for_function("document.getElementById('app').innerText.trim()", timeout=LOAD)
        page.wait_for_timeout(SETTLE)
        if path == "/events":  # its feed names objects that other tests have removed, and the UI requests each
            page.goto("about:blank")  # none is under way any more
            assert all(line.startswith("404 ") for line in observed.failed), path
            observed.failed.clear()
            observed.errors.clear()
        assert observed.found == [], path


def test_a_run_that_has_ended_is_listed(running_up: RunningUp, origin: str, page: Page) -> None:
    """The filters of these pages ask for the names of Prefect's own states."""
    run = running_up.run("1Pass")
    wait_until(lambda: running_up.state(run)["name"] == "Completed")
    name = running_up.ask("GET", f"/api/flow_runs/{run}").json()["name"]
    listed = f"RegExp('^{name}\\n([a-z0-9-]+\\n)*Completed$', 'm').test(document.body.innerText)"
    deployment = running_up.deployment("1Pass")
    _log_in(page, origin, running_up)
    for path in LISTS_RUNS:
        page.goto(origin + path.format(**deployment))
        page.wait_for_function(listed, timeout=LOAD)


def test_each_answer_bears_the_headers(running_up: RunningUp, origin: str) -> None:
    for path, headers in (("/flows", {}), ("/api/health", {}), ("/healthz", {}), ("/", {"Host": "evil.example"})):
        answer = httpx.get(origin + path, headers=headers)
        assert {name: answer.headers.get(name) for name in browser_isolation.HEADERS} == browser_isolation.HEADERS


def test_the_server_asks_no_other_one_for_its_list_of_workers(running_up: RunningUp) -> None:
    workers = running_up.ask("GET", "/api/collections/views/aggregate-worker-metadata").json()
    assert "process" in workers["prefect"]
    assert running_up.ask("GET", "/api/collections/views/demo-flows").status_code == 404
