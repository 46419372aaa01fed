"""The checks of a source on a real Prefect server: its block, its schedule and its worker."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.check_findings import STEPS
from support.flow_runs import Source
from support.moving_clock import MovingClock
from support.values import SOURCE

from blocks import clock
from blocks.prefect_names import deployment_name
from blocks.store import sources
from blocks.store.engine import open_engine
from deployments import cli
from deployments.checks.finding import Finding, ok
from deployments.commands import check as command
from deployments.prefect_api.server_access import PrefectAccess

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deployments.sandbox.process import SandboxProcess

EXTERNAL = PrefectAccess("external", "http://127.0.0.1:4200/api")


def results(findings: list[Finding]) -> dict[str, str]:
    return {finding.step: finding.result for finding in findings}


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
    assert [line.split()[0] for line in lines] == ["ok"] * 12 + ["failed", "not", "not"]
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
