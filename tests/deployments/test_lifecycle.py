"""The commands that manage a source, against a temporary Prefect server: restart, token, delete, export, rename, …"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine
from support.command_calls import CommandCalls
from support.lifecycle_commands import SCOPES, actions, apply, fail, fill, in_error, only_id, rows, token_of
from support.prefect_reads import read_all

from blocks.prefect_names import block_name
from blocks.store import source_status, sources
from deployments import cli

if TYPE_CHECKING:
    from collections.abc import Callable

    from deployments.sandbox.process import SandboxProcess

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("clean_sandbox")]


def blocks(name: str) -> list[str]:
    """The kinds of blocks that bear the source's name on the Prefect server."""
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        found = read_all(client.read_block_documents)
    return sorted(one.block_type_name or "" for one in found if one.name == block_name(name))


def deployment(name: str) -> Any:
    from prefect.client.orchestration import get_client

    from deployments.prefect_api.deploy import find_deployment

    with get_client(sync_client=True) as client:
        return find_deployment(client, name)


def schedules(name: str) -> dict[str, bool]:
    """The deployments of a source that have a schedule, and whether each is paused."""
    from prefect.client.orchestration import get_client

    from deployments.prefect_api.deploy import deployments_of

    with get_client(sync_client=True) as client:
        found = deployments_of(client, name)
    return {str(one.entrypoint).rpartition(".")[2]: bool(one.paused) for one in found if one.schedules}


def test_a_restart_clears_the_error_and_collects_in_this_process(
    call: CommandCalls, applied_source: str, api: SandboxProcess
) -> None:
    fail(applied_source)
    assert "Collected: 30 new events" in call("restart", applied_source)
    assert (in_error(applied_source), actions()) == (False, ["restart"])


def test_a_changed_file_clears_the_error_and_an_unchanged_one_does_nothing(
    call: CommandCalls, applied_source: str, api: SandboxProcess
) -> None:
    fail(applied_source)
    assert apply(call, applied_source, api) == f"{applied_source}: unchanged (sign-in, itemUsage, audit).\n"
    assert (in_error(applied_source), actions()) == (True, [])
    assert apply(call, applied_source, api, description="other").startswith(f"{applied_source}: updated")
    assert "Start collecting every five minutes with: onepassword-source up" in call.err
    assert (in_error(applied_source), actions()) == (False, ["apply"])


def test_another_account_is_an_error_without_new_account(
    call: CommandCalls, applied_source: str, api: SandboxProcess
) -> None:
    sources.save_introspection(source_status.open_store(), only_id(), frozenset(SCOPES), "THISACCOUNT")
    other = api.issue_token(account="OTHERACCOUNT")
    apply(call, applied_source, api, code=cli.IN_ERROR, api_token=other)
    assert token_of(applied_source) == api.token
    assert apply(call, applied_source, api, "--new-account", api_token=other).startswith(f"{applied_source}: updated")
    assert "Collected: 30 new events" in call("collect", applied_source)
    assert rows("SELECT account_uuid FROM sources") == [("OTHERACCOUNT",)]
    assert actions() == ["apply"]


@pytest.mark.parametrize("command", ["restart", "token", "delete", "export", "stop", "start", "rename"])
def test_an_unknown_source_is_one_clear_line(call: CommandCalls, command: str) -> None:
    arguments = ["missing", "new-name"] if command == "rename" else ["missing"]
    assert call(command, *arguments, code=cli.WRONG_USE) == (
        "onepassword-source: There is no source named 'missing'. `onepassword-source list` shows the sources; "
        "`onepassword-source apply FILE` creates one.\n"
    )


def test_a_stopped_source_stays_stopped_and_can_be_run_by_hand(
    call: CommandCalls, applied_source: str, api: SandboxProcess
) -> None:
    assert call("stop", applied_source).startswith(f"{applied_source}: stopped.")
    assert (schedules(applied_source), call.json("list")[0]["health"]) == (
        {"collect": True, "reconcile": True},
        "stopped",
    )
    assert call.json("apply", "source.json")[0]["stopped"]
    apply(call, applied_source, api, description="other")
    from deployments import sources as applied
    from deployments.prefect_api import deploy

    applied.deploy_all()  # as `up` does
    assert deployment(applied_source).paused
    deploy.remove_deployment(applied_source)
    applied.deploy_all()
    assert schedules(applied_source) == {"collect": True, "reconcile": True}, "also where its deployments were lost"
    assert "Collected: 30 new events" in call("collect", applied_source)
    assert call("start", applied_source).startswith(f"{applied_source}: started.")
    assert (schedules(applied_source), call.json("list")[0]["health"]) == (
        {"collect": False, "reconcile": False},
        "healthy",
    )
    assert actions() == ["stop", "apply", "start"]


def test_a_renamed_source_keeps_everything(call: CommandCalls, applied_source: str, api: SandboxProcess) -> None:
    call("collect", applied_source)
    before = rows("SELECT id, created_ns FROM sources"), rows("SELECT id, cursor, events FROM streams")
    new = f"{applied_source} Ü/2"
    assert call("rename", applied_source, new) == f"{applied_source}: renamed to {new}. Its events and cursors stay.\n"
    assert (rows("SELECT id, created_ns FROM sources"), rows("SELECT id, cursor, events FROM streams")) == before
    assert (blocks(applied_source), deployment(applied_source)) == ([], None)
    assert blocks(new) == ["1Password Credentials", "1Password Source"]
    assert (schedules(applied_source), schedules(new)) == ({}, {"collect": False, "reconcile": False})
    assert call("collect", new).startswith("Collected: 0 new events")
    assert call("events", new, "--format", "ndjson").count("\n") == 30
    call("stop", new)
    call("rename", new, applied_source)
    assert (deployment(applied_source).paused, call.json("list")[0]["health"]) == (True, "stopped")


def waiting(name: str) -> list[Any]:
    """The runs of a source's collection that wait, the planned ones aside."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas import filters
    from prefect.client.schemas.objects import StateType

    state = filters.FlowRunFilterState(type=filters.FlowRunFilterStateType(any_=[StateType.SCHEDULED]))
    of = filters.DeploymentFilter(id=filters.DeploymentFilterId(any_=[deployment(name).id]))
    with get_client(sync_client=True) as client:
        found = client.read_flow_runs(deployment_filter=of, flow_run_filter=filters.FlowRunFilter(state=state))
    return [run for run in found if not run.auto_scheduled]


def test_a_run_that_waits_is_renamed_with_its_source_and_collects(
    call: CommandCalls, applied_source: str, api: SandboxProcess
) -> None:
    from deployments.prefect_api import source_runs
    from flows.collect import collect

    source_runs.create_run(applied_source)
    (before,) = waiting(applied_source)
    new = f"{applied_source} 2"
    call("rename", applied_source, new)
    (moved,) = waiting(new)
    assert (moved.name, moved.parameters) == (f"collect {new}", {"source": new, "source_id": only_id()})
    assert before.parameters == {"source": applied_source, "source_id": only_id()}
    state = collect(**before.parameters, return_state=True)  # a process had it when its source was renamed
    assert "30 new" in state.message
    assert rows("SELECT sum(events) FROM streams") == [(30,)]


def test_a_run_that_begins_during_a_rename_reads_the_block_that_is_there(
    call: CommandCalls, applied_source: str, api: SandboxProcess
) -> None:
    from blocks.store import lifecycle as store
    from flows.collect import collect

    engine = source_status.open_store()
    status = store.find(engine, applied_source)
    assert status
    store.rename(engine, status, "half renamed", paused=False)  # and the block has the old name still
    assert "30 new" in collect(applied_source, status.id, return_state=True).message


def test_what_is_due_gets_one_run(call: CommandCalls, applied_source: str, api: SandboxProcess) -> None:
    from deployments.prefect_api import source_runs

    for name in ("stopped", "read"):
        apply(call, name, api)
    call("stop", "stopped")
    call("collect", "read")
    engine = source_status.open_store()
    assert source_runs.create_due_runs(engine) == [applied_source]
    assert source_runs.create_due_runs(engine) == [], "one waits"
    assert [len(waiting(name)) for name in (applied_source, "stopped", "read")] == [1, 0, 0]


@pytest.mark.torture
def test_what_a_person_set_on_the_deployment_goes_with_the_name(call: CommandCalls, applied_source: str) -> None:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import DeploymentUpdate

    with get_client(sync_client=True) as client:
        found = deployment(applied_source)
        client.update_deployment(found.id, DeploymentUpdate(job_variables={"env": {"NO_PROXY": "x"}}))
        client.pause_deployment(found.id)
    call("rename", applied_source, f"{applied_source} 2")
    moved = deployment(f"{applied_source} 2")
    assert (moved.paused, moved.job_variables["env"]["NO_PROXY"]) == (True, "x")
    assert call.json("list")[0]["health"] == "stopped"


def test_an_existing_or_empty_name_is_an_error(call: CommandCalls, applied_source: str, api: SandboxProcess) -> None:
    apply(call, "taken", api)
    assert "There is already a source named 'taken'." in call("rename", applied_source, "taken", code=cli.WRONG_USE)
    call("delete", "taken")
    shown = call("rename", applied_source, "taken", code=cli.WRONG_USE)
    assert "The name 'taken' belongs to a deleted source" in shown
    assert "`onepassword-source delete taken --purge`" in shown
    assert "the name is empty" in call("rename", applied_source, "", code=cli.WRONG_USE)
    assert call.json("list")[0]["source"] == applied_source


def test_a_deleted_source_leaves_its_events_and_comes_back_to_them(
    call: CommandCalls, applied_source: str, api: SandboxProcess
) -> None:
    fill(applied_source)
    before = rows("SELECT id, cursor FROM streams")
    assert call("delete", applied_source) == f"{applied_source}: deleted. 30 events are kept.\n"
    assert (blocks(applied_source), deployment(applied_source), schedules(applied_source)) == ([], None, {})
    assert call("events", applied_source, "--format", "ndjson").count("\n") == 30
    assert "was already deleted" in call("delete", applied_source)
    assert f"Source '{applied_source}' was deleted." in call("restart", applied_source, code=cli.WRONG_USE)
    assert apply(call, applied_source, api) == f"{applied_source}: revived (sign-in, itemUsage, audit).\n"
    assert rows("SELECT id, cursor FROM streams") == before
    assert actions() == ["delete", "apply"]


@pytest.mark.torture
def test_credentials_and_a_store_that_others_use_stay(
    call: CommandCalls, applied_source: str, api: SandboxProcess
) -> None:
    from blocks.store.block import EventStore
    from deployments import sources as applied

    mine, url = applied.find(applied_source), os.environ["ONEPASSWORD_SOURCE_DATABASE_URL"]
    assert mine
    store = EventStore(url=url)  # type: ignore[arg-type]
    store.save("shared-store", overwrite=True)
    apply(call, "sharing", api)
    sharing = applied.find("sharing")
    assert sharing
    sharing.credentials, sharing.store = mine.credentials, store
    sharing.save(block_name("sharing"), overwrite=True)
    call("delete", applied_source)
    assert blocks(applied_source) == ["1Password Credentials"]
    assert token_of("sharing") == api.token
    call("delete", "sharing")
    assert (blocks(applied_source), blocks("sharing")) == ([], [])
    assert EventStore.load("shared-store")


class Killed(BaseException):
    pass


class Killer:
    """Ends the command before its n-th request to Prefect or transaction of the store."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left = 0
        self.send = httpx.Client.send
        killer = self

        def send(client: httpx.Client, *arguments: Any, **options: Any) -> httpx.Response:
            killer.step()
            return killer.send(client, *arguments, **options)

        monkeypatch.setattr(httpx.Client, "send", send)

    def step(self, *_: object) -> None:
        self.left -= 1
        if self.left == 0:
            raise Killed

    def every_point(self, work: Callable[[], object], stride: int = 1) -> int:
        """Do the work, killed before its first step, then a `stride` further, …; how often it was killed."""
        event.listen(Engine, "begin", self.step)
        try:
            for kills in range(200):
                self.left = kills * stride + 1
                try:
                    work()
                except Killed:
                    continue
                return kills
        finally:
            self.left = 0
            event.remove(Engine, "begin", self.step)
        raise AssertionError("it never came to an end")


ALL = pytest.mark.torture


@pytest.mark.parametrize(
    ("paused", "stride"),
    [pytest.param(True, 6, marks=ALL), pytest.param(False, 1, marks=ALL), pytest.param(True, 1, marks=ALL)],
)
def test_a_renaming_that_is_killed_anywhere_is_completed_by_the_next_call(
    call: CommandCalls, name: str, api: SandboxProcess, monkeypatch: pytest.MonkeyPatch, *, paused: bool, stride: int
) -> None:
    from deployments import lifecycle

    old, new = name, f"{name} new"
    apply(call, old, api)
    fill(old)
    if paused:
        call("stop", old)
    before = rows("SELECT id FROM sources"), rows("SELECT id, cursor, events FROM streams")
    kills = Killer(monkeypatch).every_point(lambda: lifecycle.rename(old, new), stride)
    assert kills > 15 / stride
    assert (blocks(old), deployment(old)) == ([], None)
    assert blocks(new) == ["1Password Credentials", "1Password Source"]
    assert deployment(new).paused == paused
    assert (rows("SELECT id FROM sources"), rows("SELECT id, cursor, events FROM streams")) == before
    assert actions().count("rename") == actions().count("renamed") == 1


@pytest.mark.parametrize(
    ("purge", "stride"),
    [pytest.param(True, 6, marks=ALL), pytest.param(False, 1, marks=ALL), pytest.param(True, 1, marks=ALL)],
)
def test_a_deletion_that_is_killed_anywhere_is_completed_by_the_next_call(
    call: CommandCalls, name: str, api: SandboxProcess, monkeypatch: pytest.MonkeyPatch, *, purge: bool, stride: int
) -> None:
    from deployments import lifecycle

    apply(call, name, api)
    fill(name)

    def work() -> None:
        try:
            lifecycle.delete(name, purge=purge)
        except lifecycle.ThirdPartyConfigError as error:  # the kill before was after its very last step
            assert "There is no source named" in str(error)  # noqa: PT017

    assert Killer(monkeypatch).every_point(work, stride) > 15 / stride
    assert (blocks(name), deployment(name)) == ([], None)
    assert rows("SELECT count(*) FROM events") == [(0 if purge else 30,)]
    assert actions() == (["delete", "purge", "purged"] if purge else ["delete"])
    if not purge:
        assert apply(call, name, api).startswith(f"{name}: revived")


@pytest.mark.torture
def test_any_command_completes_a_renaming_that_was_killed(
    call: CommandCalls, applied_source: str, api: SandboxProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    from deployments import lifecycle

    with monkeypatch.context() as killed:
        killed.setattr(lifecycle, "_complete_renaming", lambda *_: None)
        call("rename", applied_source, "half")
        assert "is being renamed to 'half'" in call("stop", applied_source, code=cli.WRONG_USE)
    call("stop", "half")
    assert (blocks(applied_source), deployment(applied_source)) == ([], None)
    assert deployment("half").paused
