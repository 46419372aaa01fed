"""Forwarding to servers that others wrote: each event of the store is there, once."""

from __future__ import annotations

import contextlib
import gzip
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import obstore
import pytest
from obstore.store import AzureStore, S3Store
from real import counterparts
from receivers.process import running_receiver
from sqlalchemy import text
from support import siem_store
from support.one_machine import wait_until
from support.paths import SUPPORT

from blocks.store.engine import open_engine

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.real
EVENTS = 6000
BUCKET = "archive"
AZURE_ACCOUNT = "devstoreaccount1"
AZURE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""Azurite's documented account and key: the same on every machine."""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    url = f"sqlite:///{tmp_path_factory.mktemp('store') / 'events.db'}"
    siem_store.fill(url, EVENTS)
    return url


@pytest.fixture
def events(store: str, tmp_path: Path) -> tuple[str, Counter[str]]:
    """A copy of the store, and the uuid of each event in it."""
    path = tmp_path / "events.db"
    path.write_bytes(Path(store.removeprefix("sqlite:///")).read_bytes())
    with contextlib.closing(open_engine(url := f"sqlite:///{path}").connect()) as connection:
        return url, Counter(connection.execute(text("SELECT uuid FROM events")).scalars())


def forward(url: str, kind: str, members: dict[str, Any]) -> None:
    job = json.dumps({"url": url, "kind": kind, "members": members})
    done = subprocess.run(
        [sys.executable, SUPPORT / "forwarder.py"], input=job, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["sent"] >= EVENTS


def test_opensearch_in_memory(events: tuple[str, Counter[str]], tmp_path: Path) -> None:
    program, port = counterparts.packaged("osmem_server/bin/osmem-server"), counterparts.free_port()
    with counterparts.server((program, "-addr", f"127.0.0.1:{port}"), port, tmp_path / "log") as opensearch:
        forward(events[0], "elasticsearch", {"url": opensearch, "username": "admin", "password": "admin"})
        assert Counter(_uuids_of_opensearch(opensearch)) == events[1]


def _uuids_of_opensearch(url: str) -> Iterator[str]:
    httpx.post(f"{url}/_refresh", trust_env=False)
    after: list[Any] | None = None
    while True:
        query: dict[str, Any] = {"size": 1000, "sort": [{"_id": "asc"}], "_source": ["event.id"]}
        answer = httpx.post(
            f"{url}/_all/_search", json={**query, **({"search_after": after} if after else {})}, trust_env=False
        ).json()
        hits = answer["hits"]["hits"]
        if not hits:
            return
        yield from (hit["_source"]["event"]["id"] for hit in hits)
        after = hits[-1]["sort"]


def test_otlp_through_rotel(events: tuple[str, Counter[str]], tmp_path: Path) -> None:
    """A collector of OpenTelemetry in between: what it has understood, it sends on to a receiver of ours."""
    program, port = counterparts.packaged("rotel/rotel-agent"), counterparts.free_port()
    with running_receiver("otlp", tmp_path / "arrived") as receiver:
        command = (
            *(program, "start", "--otlp-http-endpoint", f"127.0.0.1:{port}", "--exporter", "otlp"),
            *("--otlp-grpc-endpoint", f"127.0.0.1:{counterparts.free_port()}"),
            *("--otlp-exporter-endpoint", receiver.url, "--otlp-exporter-protocol", "http"),
        )
        with counterparts.server(command, port, tmp_path / "log") as rotel:
            forward(events[0], "otlp", {"url": rotel})
            wait_until(lambda: receiver.arrived().total() >= events[1].total())
        assert receiver.arrived() == events[1]


def test_s3_of_moto(events: tuple[str, Counter[str]], tmp_path: Path) -> None:
    program, port = counterparts.script("moto_server"), counterparts.free_port()
    with counterparts.server((program, "-H", "127.0.0.1", "-p", str(port)), port, tmp_path / "log") as s3:
        keys = {"access_key_id": "AKIDOFTHETESTS", "secret_key": "secret-of-the-tests"}
        _in_environment("s3_bucket.py", s3, BUCKET)
        members = {"url": f"s3://{BUCKET}/1password", "endpoint": s3, "region": "us-east-1", **keys}
        forward(events[0], "archive", members)
        bucket = S3Store(
            BUCKET,
            endpoint=s3,
            region="us-east-1",
            access_key_id=keys["access_key_id"],
            secret_access_key=keys["secret_key"],
            client_options={"allow_http": True},
        )
        assert _archived(bucket) == events[1]


def test_azure_of_azurite(events: tuple[str, Counter[str]], tmp_path: Path) -> None:
    program, port = counterparts.node_file("azurite/dist/src/blob/main.js"), counterparts.free_port()
    command = (
        *("node", program, "--blobPort", str(port), "--silent", "--inMemoryPersistence"),
        *("--disableTelemetry", "--skipApiVersionCheck"),
    )
    with counterparts.server(command, port, tmp_path / "log") as azurite:
        endpoint = f"{azurite}/{AZURE_ACCOUNT}"
        _in_environment("azure_container.py", endpoint, AZURE_ACCOUNT, AZURE_KEY, BUCKET)
        where = {"endpoint": endpoint, "account": AZURE_ACCOUNT, "secret_key": AZURE_KEY}
        forward(events[0], "archive", {"url": f"az://{BUCKET}/1password", **where})
        container = AzureStore(
            BUCKET,
            endpoint=endpoint,
            account_name=AZURE_ACCOUNT,
            account_key=AZURE_KEY,
            client_options={"allow_http": True},
        )
        assert _archived(container) == events[1]


def _in_environment(script: str, *arguments: str) -> None:
    command = [counterparts.python(), Path(__file__).with_name(script), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def _archived(bucket: S3Store | AzureStore) -> Counter[str]:
    found: Counter[str] = Counter()
    for page in obstore.list(bucket):
        for item in page:
            content = bytes(obstore.get(bucket, item["path"]).bytes())
            found.update(json.loads(line)["uuid"] for line in gzip.decompress(content).splitlines())
    return found


@pytest.mark.parametrize("package", ["standardwebhooks", "svix"])
def test_the_libraries_of_receivers_verify_our_webhooks(
    package: str, events: tuple[str, Counter[str]], tmp_path: Path
) -> None:
    """Each request with the default body passes `verify` of the npm package, which parses the body as JSON."""
    library, port = counterparts.node_file(package), counterparts.free_port()
    secret = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    program = Path(__file__).with_name("webhook_receiver.js")
    log = tmp_path / "log"
    with counterparts.server(("node", program, str(library), str(port), secret), port, log) as url:
        forward(events[0], "webhook", {"url": url, "signing_secret": secret})
        arrived = httpx.get(url, trust_env=False).json()
    assert arrived["refused"] == []
    assert Counter(arrived["uuids"]) == events[1]
