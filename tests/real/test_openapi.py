"""1Password's published description: a mock server made of it reads our requests, and it reads our sandbox."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import httpx
import pytest
from real import counterparts, published_api
from support.clients import START_NS, TOKEN

from blocks.events_api.client import EventsClient
from blocks.events_api.models import Api
from deployments.sandbox.process import running_sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.real
VERSIONS = ("v1", "v2")


@pytest.fixture(scope="module")
def prism(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Prism, which answers 4xx to a request that the description does not allow."""
    directory = tmp_path_factory.mktemp("prism")
    program, port = counterparts.node_file("@stoplight/prism-cli/dist/index.js"), counterparts.free_port()
    command = ("node", program, "mock", "--errors", "--port", str(port), published_api.write(directory))
    with counterparts.server(command, port, directory / "log") as url:
        yield url


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("api", Api)
def test_prism_takes_our_requests_and_we_read_its_pages(prism: str, api: Api, version: str) -> None:
    with EventsClient(prism, TOKEN, api_version=version) as client:
        first = client.first_page(api, START_NS, end_ns=START_NS + 10**9)
        following = client.next_page(api, first.cursor)
    assert first.cursor
    assert following.cursor == first.cursor, "Prism answers with the example of the description each time"


def test_prism_takes_our_introspection(prism: str) -> None:
    with EventsClient(prism, TOKEN) as client:
        assert client.introspect().scopes == {api.path for api in Api}


def test_prism_refuses_what_the_description_does_not_allow(prism: str) -> None:
    """So that the two tests above can fail."""
    request = {"cursor": "abc", "limit": 1000}
    answer = httpx.post(f"{prism}/api/v2/auditevents", json=request, headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY


def test_the_sandbox_answers_as_described_to_whatever_schemathesis_sends(tmp_path: Path) -> None:
    command = [
        *(counterparts.script("schemathesis"), "run", published_api.write(tmp_path)),
        *(
            "--checks",
            "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance",
        ),
        *("--max-examples", "60", "--seed", "1", "--workers", "1", "--phases", "examples,coverage,fuzzing"),
    ]
    with running_sandbox(events=3000) as sandbox:
        options = ["--url", sandbox.base_url, "--header", f"Authorization: Bearer {sandbox.token}"]
        done = subprocess.run(
            [*command, *options], cwd=tmp_path, capture_output=True, text=True, check=False, env=_no_proxy()
        )
        assert sandbox.requests()["total"] > 100
    assert done.returncode == 0, done.stdout + done.stderr


def _no_proxy() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
