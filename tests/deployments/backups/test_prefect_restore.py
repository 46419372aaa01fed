"""What a backup keeps of Prefect is put on a server: what is there is changed, what is not is created."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from prefect.exceptions import ObjectNotFound
from support.prefect_client import give_client

from blocks.siem.configuration import KINDS
from deployments.backups import prefect_restore
from deployments.backups.prefect_content import PrefectContent, SavedAutomation, SavedBlock, SavedDeployment
from deployments.prefect_api.templates import COLLECT, FORWARD, RECONCILE

if TYPE_CHECKING:
    from deployments.backups.prefect_restore import RestoredPrefect

OWN = "1password-source"
GONE = "gone"
NEW = "33333333-3333-3333-3333-333333333333"
OLD, OTHER_OLD = "11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222"


@dataclass
class Server:
    """A Prefect server's client. `found` answers each filter; `sent` has every other request, in order."""

    found: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    schemas: dict[str, str] = field(default_factory=dict)
    deployments: dict[str, str] = field(default_factory=dict)
    sent: list[tuple[str, str, Any]] = field(default_factory=list)
    pools: list[tuple[str, Any]] = field(default_factory=list)
    automations: list[tuple[Any, Any]] = field(default_factory=list)
    new_id: str = ""
    """The id of every created object; empty: `new-1` and so on."""
    registered: list[bool] = field(default_factory=list)
    """One for each time that this program's own blocks were registered: whether those of SIEMs were, too."""

    def request(self, method: str, path: str, json: Any) -> Any:
        if path.endswith("/filter"):
            answer: Any = self.found.get(path, [])
        else:
            self.sent.append((method, path, json))
            answer = {"id": self.new_id or f"new-{len(self.sent)}"}
        return SimpleNamespace(json=lambda: answer, content=b"{}")

    def read_block_schema_by_checksum(self, checksum: str) -> Any:
        if checksum not in self.schemas:
            raise ObjectNotFound(Exception("none"))
        return SimpleNamespace(id=self.schemas[checksum])

    def create_flow(self, flow: Any) -> str:
        return f"the flow {flow.name}"

    def update_work_pool(self, name: str, change: Any) -> None:
        self.pools.append((name, change.model_dump(exclude_unset=True)))


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    made = give_client(monkeypatch, prefect_restore, Server())

    def find_by_name(_: Server, flow: str, name: str) -> Any:
        found = made.deployments.get(f"{flow}/{name}")
        return found and SimpleNamespace(id=found)

    own = {OWN: SimpleNamespace(_block_type_id="own type", _block_schema_id="own schema")}
    monkeypatch.setattr(prefect_restore, "_own_blocks", lambda: own)
    monkeypatch.setattr(prefect_restore.sources, "register_blocks", lambda *, siems: made.registered.append(siems))
    monkeypatch.setattr(prefect_restore.sources, "deploy_all", lambda: ["1Pass"])
    monkeypatch.setattr(prefect_restore.deploy, "ensure_work_pool", lambda _: None)
    monkeypatch.setattr(prefect_restore.deploy, "find_by_name", find_by_name)
    monkeypatch.setattr(
        prefect_restore.automations, "restore", lambda _, saved, wanted: made.automations.append((saved, wanted))
    )
    return made


def content(**members: Any) -> PrefectContent:
    empty = {"blocks": [], "deployments": [], "automations": [], "variables": [], "work_pool": {}}
    return PrefectContent(**{**empty, "other_deployments": [], **members})


def restore(server: Server, *, paused: bool = False, **members: Any) -> RestoredPrefect:
    done: list[int] = []
    wanted = content(**members)
    result = prefect_restore.restore(wanted, paused=paused, advance=done.append)
    assert server.registered.pop() is True
    assert sum(done) == prefect_restore.count(wanted)
    return result


def saved_block(name: str = "mine", slug: str = OWN, **members: Any) -> SavedBlock:
    values: dict[str, Any] = {
        "id": OLD,
        "name": name,
        "type": {"name": "T", "slug": slug},
        "schema": {"checksum": "sha256:1", "fields": {}, "version": None},
        "data": {"a": 1},
    }
    return SavedBlock(**{**values, **members})


# Blocks


def test_a_block_that_is_not_there_is_created_with_the_present_schema(server: Server) -> None:
    assert restore(server, blocks=[saved_block()]).blocks == 1
    made = {"name": "mine", "data": {"a": 1}, "block_schema_id": "own schema", "block_type_id": "own type"}
    assert server.sent == [("POST", "/block_documents/", made)]


def test_a_block_that_is_there_is_replaced(server: Server) -> None:
    server.found["/block_documents/filter"] = [{"id": "there"}]
    restore(server, blocks=[saved_block()])
    change = {"data": {"a": 1}, "block_schema_id": "own schema", "merge_existing_data": False}
    assert server.sent == [("PATCH", "/block_documents/there", change)]


def test_blocks_name_each_other_by_their_new_ids(server: Server) -> None:
    """Those that are named come first; a block that the backup does not hold is not named."""
    source = saved_block("a", id=OTHER_OLD, references={"store": OLD, "gone": "not kept"})
    restore(server, blocks=[source, saved_block("b")])
    assert [body["name"] for _, _, body in server.sent] == ["b", "a"]
    assert server.sent[1][2]["data"] == {"a": 1, "store": {"$ref": {"block_document_id": "new-1"}}}


def new_id(sent: list[tuple[str, str, Any]], path: str) -> str:
    return f"new-{next(place for place, one in enumerate(sent, 1) if one[1] == path)}"


@pytest.mark.parametrize("type_there", [True, False])
@pytest.mark.parametrize("schema_there", [True, False])
def test_a_type_of_others_is_created_with_its_schema_where_it_is_not_there(
    server: Server, type_there: bool, schema_there: bool
) -> None:
    server.found["/block_types/filter"] = [{"id": "the type"}] * type_there
    server.schemas = {"sha256:1": "the schema"} if schema_there else {}
    restore(server, blocks=[saved_block(slug="slack-webhook")])
    type_id = "the type" if type_there else new_id(server.sent, "/block_types/")
    schema_id = "the schema" if schema_there else new_id(server.sent, "/block_schemas/")
    expected: list[tuple[str, str, Any]] = []
    if not type_there:
        expected.append(("POST", "/block_types/", {"name": "T", "slug": "slack-webhook"}))
    if not schema_there:
        expected.append(("POST", "/block_schemas/", {"fields": {}, "version": None, "block_type_id": type_id}))
    made = {"name": "mine", "data": {"a": 1}, "block_schema_id": schema_id, "block_type_id": type_id}
    assert server.sent == [*expected, ("POST", "/block_documents/", made)]


# Deployments


def saved_deployment(flow: str = COLLECT, entrypoint: str = "flows.collect.collect", **members: Any) -> SavedDeployment:
    values: dict[str, Any] = {
        "id": OLD,
        "flow": flow,
        "values": {"name": "1Pass", "entrypoint": entrypoint, "paused": False, "tags": ["a"], "description": None},
        "schedules": [{"schedule": {"interval": 300}, "active": True, "slug": None}],
    }
    return SavedDeployment(**{**values, **members})


SCHEDULES = [{"schedule": {"interval": 300}, "active": True}]


def test_a_deployment_that_is_there_is_changed_but_not_its_flow(server: Server) -> None:
    server.deployments["collect/1Pass"] = "there"
    result = restore(server, deployments=[saved_deployment()])
    assert (result.deployments, result.sources, result.warnings) == (1, ["1Pass"], [])
    change = {"paused": False, "tags": ["a"], "schedules": SCHEDULES}
    assert server.sent == [("PATCH", "/deployments/there", change)]


def test_a_deployment_that_is_not_there_is_created(server: Server) -> None:
    assert restore(server, deployments=[saved_deployment()]).deployments == 1
    made = {
        "name": "1Pass",
        "entrypoint": "flows.collect.collect",
        "paused": False,
        "tags": ["a"],
        "flow_id": "the flow collect",
        "schedules": SCHEDULES,
    }
    assert server.sent == [("POST", "/deployments/", made)]


@pytest.mark.parametrize("entrypoint", [f"flows.{GONE}.{GONE}", f"flows.collect.{GONE}"])
def test_a_flow_that_this_version_has_not_is_a_warning(server: Server, entrypoint: str) -> None:
    result = restore(server, deployments=[saved_deployment("gone", entrypoint)])
    assert (result.deployments, server.sent) == (0, [])
    assert result.warnings == ["The deployment gone/1Pass was not restored: this version has no such flow."]


@pytest.mark.parametrize(
    ("flow", "schedules", "paused"),
    [
        (COLLECT, SCHEDULES, True),
        (RECONCILE, SCHEDULES, True),
        (FORWARD, SCHEDULES, True),
        (COLLECT, [], False),
        ("backfill", SCHEDULES, False),
        ("retention", SCHEDULES, False),
    ],
)
def test_on_request_schedules_of_a_source_are_paused(
    server: Server, flow: str, schedules: list[dict[str, Any]], paused: bool
) -> None:
    server.deployments[f"{flow}/1Pass"] = "there"
    saved = saved_deployment(flow, schedules=schedules)
    for wanted in (True, False):
        restore(server, paused=wanted, deployments=[saved])
    assert [body["paused"] for _, _, body in server.sent] == [paused, False]
    assert saved.values["paused"] is False, "the backup stays as it is"


# The rest


@pytest.mark.parametrize("saved", [{}, {"is_paused": True, "concurrency_limit": 4}])
def test_the_work_pool_is_changed_if_the_backup_knows_it(server: Server, saved: dict[str, Any]) -> None:
    restore(server, work_pool=saved)
    assert [change for _, change in server.pools] == ([saved] if saved else [])


@pytest.mark.parametrize(("found", "sent"), [([], ("POST", "/variables/")), ([{"id": "V"}], ("PATCH", "/variables/V"))])
def test_a_variable_is_created_or_changed(server: Server, found: list[dict[str, Any]], sent: tuple[str, str]) -> None:
    variable = {"name": "mine", "value": [1], "tags": []}
    server.found["/variables/filter"] = found
    restore(server, variables=[variable])
    assert server.sent == [(*sent, variable)]


@pytest.mark.parametrize("there", [True, False])
def test_an_automation_names_blocks_and_deployments_by_their_new_ids(server: Server, there: bool) -> None:
    server.deployments = {"collect/1Pass": NEW} if there else {}
    server.new_id = NEW
    values = {
        "name": "mine",
        "trigger": {"type": "event", "posture": "Reactive", "threshold": 1, "within": 0},
        "actions": [{"type": "run-deployment", "source": "selected", "deployment_id": OLD}],
    }
    result = restore(
        server,
        deployments=[saved_deployment()],
        automations=[SavedAutomation("A", values), SavedAutomation("B", values)],
    )
    assert result.automations == 2
    for saved, wanted in server.automations:
        assert str(saved.actions[0].deployment_id) == OLD
        assert str(wanted.actions[0].deployment_id) == NEW
    assert json.dumps(values).count(OLD) == 1


def test_every_object_is_counted() -> None:
    members: Any = {"blocks": [1, 2], "deployments": [3], "automations": [4, 5, 6], "variables": [7]}
    assert prefect_restore.count(content(**members)) == 7


def test_the_blocks_of_this_program_are_those_of_sources_stores_and_siems() -> None:
    found = prefect_restore._own_blocks()
    assert OWN in found
    assert len(found) == len(KINDS) + 3
    assert all(block.get_block_type_slug() == slug for slug, block in found.items())
