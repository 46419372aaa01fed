"""`check`: each of its lines, ok and at fault, against real servers, stores, tokens and a real Prefect."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.certificates import HERE, certificate, rejected_certificates, write_authority
from support.flow_runs import Source
from support.moving_clock import MovingClock
from support.tls_server import answering
from support.values import SOURCE

from blocks import clock
from blocks.errors import ThirdPartyGenericError
from blocks.events_api.models import Api
from blocks.health import WARNING, Condition
from blocks.prefect_names import deployment_name
from blocks.store import health, schema, sources, streams
from blocks.store.engine import open_engine
from deployments import cli, up_health
from deployments.bounded_call import StartedCall, call_within
from deployments.checks import collection, network, server, storage
from deployments.checks.finding import Finding, ok
from deployments.checks.runs import check_runs
from deployments.commands import check as command
from deployments.prefect_api.server_access import PrefectAccess
from deployments.sandbox.process import running_sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cryptography import x509

    from deployments.sandbox.process import SandboxProcess

DAY = 86_400
STEPS = [
    *("configuration", "DNS", "TLS", "clock", "introspection", "scopes", "token expiry"),
    *("store", "disk", "disk use", "Prefect server", "schedule", "runner", "runs", "collection"),
]
EXTERNAL = PrefectAccess("external", "http://127.0.0.1:4200/api")


@pytest.fixture(autouse=True)
def one_authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", write_authority(tmp_path / "authority.pem"))


@pytest.fixture(scope="module")
def api() -> Iterator[SandboxProcess]:
    with running_sandbox(events=3) as running:
        yield running


def results(findings: list[Finding]) -> dict[str, str]:
    return {finding.step: finding.result for finding in findings}


# The network


def test_a_way_that_is_open(tmp_path: Path) -> None:
    with answering(tmp_path, certificate(HERE, days=60)) as stand_in:
        way = network.check_reachability(stand_in.url)
    assert (way.dns.result, way.tls.result, way.clock.result) == ("ok", "ok", "ok")
    assert "localhost is " in way.dns.description
    assert way.tls.description == "TLSv1.3, certificate by Test Authority, 60 days left"


def test_what_cannot_be_read_in_the_environment_is_named_before_all_else(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert network.check_environment() == []
    monkeypatch.setenv("NO_PROXY", "localhost,fd00:1234::/64")
    monkeypatch.setenv("HTTP_PROXY", "http://user:hidden@[")
    for name in ("NO_PROXY", "HTTP_PROXY"):  # to be taken out again, as the command puts them in
        monkeypatch.setenv(f"{name}_AS_SET", "")
        monkeypatch.delenv(f"{name}_AS_SET")
    assert cli.main(["--help"]) == cli.DONE
    errors = capsys.readouterr().err
    assert "Warning: NO_PROXY has an entry that Prefect's HTTP client cannot read: fd00:1234::/64." in errors
    assert "Warning: HTTP_PROXY is no address of a proxy" in errors
    assert "hidden" not in errors
    assert (os.environ["NO_PROXY"], os.environ["HTTP_PROXY"]) == ("localhost", "")
    assert [(one.step, one.result) for one in network.check_environment()] == [("environment", "warning")] * 2


def test_a_name_that_does_not_resolve_leaves_the_rest_unchecked() -> None:
    way = network.check_reachability("https://events.invalid")
    assert (way.dns.result, way.tls.result, way.clock.result) == ("failed", "not checked", "not checked")
    assert way.dns.description == "The name events.invalid could not be resolved."
    assert way.dns.hint == "Check base_url and this machine's DNS."


def test_a_name_server_that_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "DNS_SECONDS", 0.05)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: time.sleep(1))
    assert network.check_reachability("https://events.example").dns.description.endswith("was not resolved within 0 s.")


@pytest.mark.parametrize(("shown", "text"), rejected_certificates())
def test_an_invalid_certificate(tmp_path: Path, shown: x509.Certificate, text: str) -> None:
    with answering(tmp_path, shown) as stand_in:
        way = network.check_reachability(stand_in.url)
    assert (way.dns.result, way.tls.result, way.clock.result) == ("ok", "failed", "not checked")
    assert text in way.tls.description
    assert "set SSL_CERT_FILE" in way.tls.hint


def test_a_certificate_that_expires_soon(tmp_path: Path) -> None:
    with answering(tmp_path, certificate(HERE, days=3)) as stand_in:
        assert network.check_reachability(stand_in.url).tls.result == "warning"


def test_a_port_without_a_listener() -> None:
    tls = network.check_reachability("http://127.0.0.1:1").tls
    assert (tls.result, tls.description) == ("failed", "127.0.0.1 refused the connection.")
    assert tls.hint == "Check base_url and the firewall."


@pytest.mark.parametrize(
    ("ahead", "text"), [(90, "clock is 90 s behind the server's"), (-7200, "clock is 120 min ahead of the server's")]
)
def test_a_clock_that_is_wrong(tmp_path: Path, ahead: int, text: str) -> None:
    with answering(tmp_path, ahead=ahead) as stand_in:
        found = network.check_reachability(stand_in.url).clock
    # The header has whole seconds, so 90 may be 89 or 91.
    assert found.result == "failed"
    assert text in found.description.replace("89 s", "90 s").replace("91 s", "90 s")
    assert "NTP" in found.hint


def test_a_server_without_a_date_header(tmp_path: Path) -> None:
    with answering(tmp_path, ahead=None) as stand_in:
        assert network.check_reachability(stand_in.url).clock.result == "not checked"


# The token


def test_a_token_that_is_accepted(api: SandboxProcess) -> None:
    introspection, scopes = network.check_account(api.base_url, api.token, ["sign-in", "audit"], None)
    assert introspection.result == "ok"
    assert api.introspect().json()["account_uuid"] in introspection.description
    assert (scopes.result, scopes.description) == ("ok", "auditevents, itemusages, signinattempts")


def test_a_revoked_token(api: SandboxProcess) -> None:
    token = api.issue_token()
    api.revoke(token)
    introspection, scopes = network.check_account(api.base_url, token, ["audit"], None)
    assert (introspection.result, scopes.result) == ("failed", "not checked")
    assert "refuses the token" in introspection.description
    assert token not in str((introspection, scopes))


def test_a_missing_scope(api: SandboxProcess) -> None:
    token = api.issue_token(["signinattempts"])
    introspection, scopes = network.check_account(api.base_url, token, ["sign-in", "itemUsage", "audit"], None)
    assert (introspection.result, scopes.result) == ("ok", "failed")
    lacks = "itemusages (for itemUsage), auditevents (for audit)"
    assert scopes.description == f"The token lacks {lacks}; it has signinattempts."
    assert "or take itemUsage, audit out of supported_apis" in scopes.hint


def test_a_token_of_another_account(api: SandboxProcess) -> None:
    introspection, _ = network.check_account(api.base_url, api.token, ["audit"], "ANOTHER")
    assert introspection.result == "failed"
    assert "the events are of account ANOTHER" in introspection.description
    assert "--new-account" in introspection.hint


def test_an_events_api_in_trouble(api: SandboxProcess) -> None:
    api.fault("503", api="introspect")
    try:
        introspection, _ = network.check_account(api.base_url, api.token, ["audit"], None)
    finally:
        api.clear_faults()
    assert (introspection.result, introspection.description) == ("failed", "The Events API answered 503.")
    assert introspection.hint.startswith("Try again")


@pytest.mark.parametrize(
    ("seconds", "result", "text"),
    [
        (None, "ok", "the token never expires"),
        (90 * DAY, "ok", "days left"),
        (3 * DAY, "warning", "expires within 3 days"),
        (-DAY, "failed", "The token expired 24 h ago."),
    ],
)
def test_when_the_token_expires(api: SandboxProcess, seconds: float | None, result: str, text: str) -> None:
    found = network.check_expiry(api.issue_token(expires_in=seconds))
    assert (found.result, text in found.description) == (result, True)


def test_a_token_that_was_cut_off(api: SandboxProcess) -> None:
    assert network.check_expiry(api.token.rpartition(".")[0]).result == "warning"


# The store and the disk


@pytest.fixture
def url(migrated_sqlite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    url = f"sqlite:///{shutil.copy(migrated_sqlite, tmp_path / 'events.db')}"
    monkeypatch.setenv("ONEPASSWORD_SOURCE_DATABASE_URL", url)
    return url


def test_a_good_store_and_disk(url: str) -> None:
    store, disk = storage.check_store(url), storage.check_disk(url)
    assert (store.result, disk.result) == ("ok", "ok")
    assert store.description.endswith(f"events.db, schema {schema.HEAD}, writable, no damage")
    assert " free in " in disk.description


def test_runs_that_work_and_runs_that_do_not(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    moving = MovingClock()
    monkeypatch.setattr(clock, "clock", moving)
    monkeypatch.setenv("ONEPASSWORD_SOURCE_DATA_DIR", str(tmp_path))
    engine = open_engine(url)
    sources.save(engine, SOURCE)
    assert check_runs(url, SOURCE.name) == Finding("runs", "ok", "none has begun yet")
    sources.save_state(engine, SOURCE.id, "Collected", "", "run-1")
    moving.advance(720)
    assert check_runs(url, SOURCE.name) == Finding("runs", "ok", "the last one gave a sign of life 12 min ago")
    moving.advance(1)
    found = check_runs(url, SOURCE.name)
    assert (found.result, "has worked since 2026-09-21T14:13:20Z" in found.description) == ("failed", True)
    trouble = up_health.Trouble("server", "The Prefect server does not answer.", clock.now())
    up_health.write(up_health.path(), up_health.UpHealth(clock.now(), healthy=False, troubles=(trouble,), started=0))
    assert check_runs(url, SOURCE.name).description == trouble.text
    engine.dispose()


def test_runs_of_a_store_that_cannot_be_read(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEPASSWORD_SOURCE_DATA_DIR", str(tmp_path))
    path = Path(url.removeprefix("sqlite:///"))
    assert check_runs(url, "nobody").result == "not checked"
    for content in (b"nonsense" * 1000, b""):
        path.write_bytes(content)
        assert check_runs(url, SOURCE.name).result == "not checked"
        assert path.read_bytes() == content
    path.unlink()
    assert check_runs(url, SOURCE.name).result == "not checked"
    assert not path.exists()


def _set_version(url: str, version: str) -> None:
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as database, database:
        database.execute("UPDATE alembic_version SET version_num = ?", (version,))


@pytest.mark.parametrize(("version", "result"), [("0001", "warning"), ("9999", "failed")])
def test_a_store_of_another_version(url: str, version: str, result: str) -> None:
    _set_version(url, version)
    found = storage.check_store(url)
    assert (found.result, version in found.description) == (result, True)


def test_a_store_that_is_not_there(tmp_path: Path) -> None:
    found = storage.check_store(f"sqlite:///{tmp_path / 'gone' / 'events.db'}")
    assert (found.result, "There is no store yet" in found.description) == ("failed", True)
    assert storage.check_disk(f"sqlite:///{tmp_path / 'gone' / 'events.db'}").result == "ok", (
        "the data directory is there"
    )


def test_a_damaged_store(url: str) -> None:
    Path(url.removeprefix("sqlite:///")).write_bytes(b"nonsense" * 1000)
    found = storage.check_store(url)
    assert found.result == "failed"
    assert "is damaged" in found.description
    assert "restore a backup" in found.hint


def test_a_postgresql_that_is_not_there() -> None:
    found = storage.check_store("postgresql://me:hunter2@127.0.0.1:1/events")
    assert found.result == "failed"
    assert "hunter2" not in str(found)
    assert found.hint == "Check that PostgreSQL runs and ONEPASSWORD_SOURCE_DATABASE_URL."


def test_a_disk_that_is_nearly_full(url: str) -> None:
    assert storage.check_disk(url, least=10**18, full=1).result == "warning"
    found = storage.check_disk(url, least=10**18, full=10**18)
    assert found.result == "failed"
    assert "writing stops when the disk is full" in found.hint


def test_a_disk_with_less_room_than_a_week_takes(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "growth", lambda _: 10**17)
    found = storage.check_disk(url)
    assert found.result == "warning"
    assert "the store grows by 100,000 TB a day" in found.description
    assert "onepassword-source prune" in found.hint


def test_what_each_part_takes_is_shown_with_its_bound(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONEPASSWORD_SOURCE_DATA_DIR", str(tmp_path))
    (tmp_path / "worker.log").write_bytes(b"x" * 7_000)
    found = storage.check_disk_use(url)
    assert found.result == "ok"
    assert "logs 7 kB (at most 30 MB); " in found.description
    for part in ("store", "write-ahead log", "Prefect's database", "UI", "other files"):
        assert f"{part} " in found.description
    assert "grows by" not in found.description


def test_a_disk_with_too_little_for_the_write_ahead_log(url: str) -> None:
    wal = Path(url.removeprefix("sqlite:///") + "-wal")
    with wal.open("wb") as file:
        file.truncate(2**40)  # a hole: it takes no room
    found = storage.check_disk(url)
    wal.unlink(missing_ok=True)  # to open a store that nothing uses removes it
    assert found.result == "warning"
    assert "1.1 TB in the write-ahead log" in found.description


# The command


@pytest.fixture
def kept(url: str, api: SandboxProcess) -> None:
    engine = open_engine(url)
    sources.save(engine, replace(SOURCE, base_url=api.base_url))
    engine.dispose()


def external(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("PREFECT_API_URL", url)
    monkeypatch.delenv("PREFECT_API_AUTH_STRING")  # with ours it would be taken for our own


@pytest.mark.parametrize("hangs", [False, True], ids=["gone", "hangs"])
def test_a_prefect_server_that_does_not_answer_hides_nothing_else(
    kept: None, hangs: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(server, "HEALTH_SECONDS", 0.2)
    monkeypatch.setattr("deployments.prefect_api.server_access.ANSWER_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as door:
        port = door.getsockname()[1] if hangs else 1
        external(monkeypatch, f"http://127.0.0.1:{port}/api")
        assert cli.main(["check", SOURCE.name, "--json"]) == cli.IN_ERROR
    document = json.loads(capsys.readouterr().out)
    found = {one["step"]: one for one in document["checks"]}
    assert (document["source"], document["ok"], list(found)) == (SOURCE.name, False, STEPS)
    assert found["Prefect server"]["result"] == "failed"
    assert "does not answer" in found["Prefect server"]["description"]
    assert {found[step]["result"] for step in ("DNS", "TLS", "clock", "store", "disk")} == {"ok"}
    others = ("configuration", "introspection", "scopes", "token expiry", "schedule", "runner")
    assert {found[step]["result"] for step in others} == {"not checked"}


def test_something_else_than_a_prefect_server(
    kept: None, api: SandboxProcess, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    external(monkeypatch, f"{api.base_url}/api")
    assert cli.main(["check", SOURCE.name]) == cli.IN_ERROR
    out = capsys.readouterr().out
    assert len(out.splitlines()) == len(STEPS), "one line each"
    assert "answered 404 to a health check. Check that PREFECT_API_URL ends in /api" in out


def test_a_source_that_does_not_exist_and_a_machine_without_prefect(tmp_path: Path) -> None:
    """In a process of its own: this one may have imported Prefect with another directory."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    command = [sys.executable, "-m", "deployments.cli", "check", "nobody"]
    env["ONEPASSWORD_SOURCE_DATA_DIR"] = str(tmp_path / "new")
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == cli.WRONG_USE
    assert "There is no source named 'nobody'" in done.stderr
    assert not [path for path in (tmp_path / "new").rglob("*") if path.is_file()], "nothing is made"


def test_work_that_takes_too_long_is_left_behind() -> None:
    with pytest.raises(TimeoutError):
        call_within(0.05, lambda: time.sleep(1))
    with pytest.raises(ZeroDivisionError):
        StartedCall(lambda: 1 // 0).result(5)


def test_an_api_in_error_is_no_collection_that_works(url: str) -> None:
    engine = open_engine(url)
    sources.save(engine, SOURCE)
    assert collection.check_collection(url, SOURCE.name) == Finding("collection", "ok", "nothing was read yet")
    claim = streams.acquire(engine, streams.of_source(engine, SOURCE.id, (Api.AUDIT,))[0], "run")
    assert claim
    streams.record_drain(engine, claim, clock.now_ns())
    found = collection.check_collection(url, SOURCE.name)
    assert (found.result, found.description.split(",")[0]) == ("ok", "no error is open")
    claim = streams.acquire(engine, streams.of_source(engine, SOURCE.id, (Api.AUDIT,))[0], "run")
    assert claim
    streams.record_failure(engine, claim, ThirdPartyGenericError("The Events API answered 500.", code="500"))
    found = collection.check_collection(url, SOURCE.name)
    assert (found.result, found.description) == ("failed", "audit: The Events API answered 500.")
    streams.recover(engine, claim)
    health.update_conditions(engine, SOURCE.id, [Condition("lag/audit", "Lag", WARNING, "audit is late.", "audit")], [])
    engine.dispose()
    assert collection.check_collection(url, SOURCE.name).result == "warning"


def test_a_deep_check_requests_each_api(api: SandboxProcess) -> None:
    api.fault("500", api="auditevents")
    try:
        found = collection.check_requests(api.base_url, api.token, list(Api), "v2")
    finally:
        api.clear_faults()
    assert {one.step: one.result for one in found} == {
        "request sign-in": "ok",
        "request itemUsage": "ok",
        "request audit": "failed",
    }


# With a real Prefect server


@pytest.fixture
def deployed(api: SandboxProcess, url: str, request: pytest.FixtureRequest) -> Iterator[Source]:
    """A source with its blocks and its deployment on the temporary server of the test session."""
    from deployments import sources as deployed_sources

    source = Source(f"checked {request.node.name}"[:50], url, api)
    source.save()
    deployed_sources.deploy(source.name, None, source.id)
    try:
        yield source
    finally:
        from deployments.prefect_api.deploy import remove_deployment

        api.clear_faults()
        remove_deployment(source.name)


def seen(source: Source, access: PrefectAccess = EXTERNAL) -> dict[str, Finding]:
    """What the server part finds; its client requests the temporary server, whatever `access` says it is."""
    from deployments.checks import deployed_source

    found = deployed_source.read_source(source.name, access, ok("Prefect server", ""))
    return {one.step: one for one in (found.configuration, found.server, found.schedule, found.runner)}


def _client() -> Any:
    from prefect.client.orchestration import get_client

    return get_client(sync_client=True)


@pytest.mark.prefect
def test_all_is_well_but_that_nothing_runs_it(deployed: Source, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check", deployed.name]) == cli.IN_ERROR
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert [line[13:27].strip() for line in lines] == STEPS
    assert [line.split()[0] for line in lines] == ["ok"] * 11 + ["failed", "not", "not"]
    assert lines[-3].endswith("Nothing runs the schedule. Start `onepassword-source up`, and leave it running.")
    assert deployed.sandbox.token not in out + err


@pytest.mark.prefect
def test_a_revoked_token_is_never_shown(deployed: Source, capsys: pytest.CaptureFixture[str]) -> None:
    canary = deployed.sandbox.issue_token()
    deployed.sandbox.revoke(canary)
    deployed.save(token=canary)
    found = results(command.run_checks(deployed.name))
    assert (found["configuration"], found["introspection"], found["scopes"]) == ("ok", "failed", "not checked")
    assert cli.main(["check", deployed.name, "--json"]) == cli.IN_ERROR
    assert canary not in "".join(capsys.readouterr())


@pytest.mark.prefect
def test_a_block_that_is_not_valid_hides_neither_network_nor_token(deployed: Source) -> None:
    deployed.save(supported_apis=["audit"], category="two\nlines")
    found = results(command.run_checks(deployed.name))
    assert found["configuration"] == "failed"
    assert {found[step] for step in ("DNS", "TLS", "clock", "introspection", "scopes", "token expiry")} == {"ok"}


@pytest.mark.prefect
def test_a_token_that_cannot_be_one(deployed: Source) -> None:
    deployed.save(token="Bearer and-the-secret-itself")
    checked = command.run_checks(deployed.name)
    found = results(checked)
    assert (found["configuration"], found["TLS"], found["introspection"]) == ("failed", "ok", "not checked")
    assert found["token expiry"] == "not checked"
    assert "and-the-secret-itself" not in str(checked)


@pytest.mark.prefect
def test_a_host_that_no_token_may_go_to(deployed: Source) -> None:
    deployed.save(base_url="https://events.example.net")
    found = results(command.run_checks(deployed.name))
    assert found["configuration"] == "failed"
    assert {found[step] for step in ("DNS", "TLS", "clock", "introspection", "scopes")} == {"not checked"}
    assert found["store"] == "ok"


@pytest.mark.prefect
def test_a_store_that_is_not_there_hides_nothing_else(deployed: Source, url: str) -> None:
    Path(url.removeprefix("sqlite:///")).unlink()
    found = results(command.run_checks(deployed.name))
    assert found.pop("store") == "failed"
    assert found.pop("runner") == "failed"
    assert found.pop("runs") == "not checked"
    assert found.pop("collection") == "not checked"
    assert set(found.values()) == {"ok"}


@pytest.mark.prefect
def test_a_block_that_is_gone_and_a_source_that_is_not(deployed: Source) -> None:
    from blocks.prefect_names import block_name
    from blocks.source import OnePasswordSource

    engine = open_engine(deployed.url)
    sources.save(engine, replace(SOURCE, name=deployed.name, base_url=deployed.sandbox.base_url))
    engine.dispose()
    OnePasswordSource.delete(block_name(deployed.name))
    checked = {finding.step: finding for finding in command.run_checks(deployed.name)}
    assert checked["configuration"].description == "Prefect has no block of this source."
    assert (checked["TLS"].result, checked["introspection"].result) == ("ok", "not checked")


@pytest.mark.prefect
def test_a_schedule_and_its_next_run(deployed: Source) -> None:
    from datetime import UTC, datetime, timedelta

    from prefect.states import Scheduled

    from deployments.checks import deployed_source

    assert "but no run is planned" in seen(deployed)["schedule"].description
    with _client() as client:
        found = deployed_source._deployment(client, deployed.name)
        due = client.create_flow_run_from_deployment(found.id)
    schedule = seen(deployed)["schedule"]
    assert (schedule.result, schedule.description) == ("ok", "every 5 min, the next run is planned within a minute")
    with _client() as client:
        client.delete_flow_run(due.id)
    at = datetime.now(UTC) + timedelta(hours=1)
    with _client() as client:
        found = deployed_source._deployment(client, deployed.name)
        client.create_flow_run_from_deployment(found.id, state=Scheduled(scheduled_time=at))
    schedule = seen(deployed)["schedule"]
    assert (schedule.result, schedule.description) == ("ok", f"every 5 min, next run at {at:%Y-%m-%d %H:%M:%S}Z")


@pytest.mark.prefect
def test_a_paused_deployment_and_none(deployed: Source) -> None:
    from deployments.checks import deployed_source
    from deployments.prefect_api.deploy import remove_deployment

    with _client() as client:
        found = deployed_source._deployment(client, deployed.name)
        assert found.name == deployment_name(deployed.name)
        client.pause_deployment(found.id)
    schedule = seen(deployed)["schedule"]
    assert (schedule.result, f"`onepassword-source start '{deployed.name}'`" in schedule.hint) == ("failed", True)
    remove_deployment(deployed.name)
    assert seen(deployed)["schedule"].description == "There is no deployment of this source."


@pytest.mark.prefect
def test_a_worker_that_is_heard_and_one_that_is_not(deployed: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    from deployments.prefect_api.templates import work_pool

    with _client() as client:
        client.send_worker_heartbeat(work_pool(), "there", heartbeat_interval_seconds=30)
    runner = seen(deployed)["runner"]
    assert (runner.result, runner.description.startswith("worker there, last heartbeat")) == ("ok", True)
    later = MovingClock(time.time_ns())
    later.advance(600)
    monkeypatch.setattr(clock, "clock", later)
    runner = seen(deployed)["runner"]
    assert (runner.result, runner.description) == ("failed", "No worker is alive; the last heartbeat was 10 min ago.")
    assert runner.hint == "Start one: prefect worker start --pool onepassword-source --type onepassword-source"


def test_no_worker_has_ever_been_there() -> None:
    from deployments.checks import deployed_source

    assert deployed_source._worker_finding([], "").description == "No worker has ever polled for work."
