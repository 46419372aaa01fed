"""What a backup keeps of Prefect, read from answers of its API in their own form."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from prefect.exceptions import ObjectNotFound
from support.prefect_client import give_client

from deployments.backups import prefect_content
from deployments.backups.prefect_content import PrefectContent, SavedAutomation, SavedBlock, SavedDeployment


class Server:
    """The objects that each path of a Prefect server lists, in pages; `queries` has what was requested."""

    def __init__(self) -> None:
        self.objects: dict[str, list[dict[str, Any]]] = {}
        self.queries: list[tuple[str, dict[str, Any]]] = []
        self.work_pool: Any = SimpleNamespace(is_paused=True, concurrency_limit=4)

    def request(self, method: str, path: str, json: dict[str, Any]) -> Any:
        assert method == "POST"
        self.queries.append((path, json))
        start = json.get("offset", 0)
        found = self.objects.get(path, [])[start : start + json.get("limit", 200)]
        return SimpleNamespace(json=lambda: found, content=b"[]")

    def read_work_pool(self, _name: str) -> Any:
        if self.work_pool is None:
            raise ObjectNotFound(Exception("none"))
        return self.work_pool


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    return give_client(monkeypatch, prefect_content, Server())


def document(slug: str = "slack-webhook", **values: Any) -> dict[str, Any]:
    """A block document as the API shows it, with more members than are kept."""
    return {
        "id": "11111111-2222-3333-4444-555555555555",
        "name": "mine",
        "created": "2026-01-01",
        "data": {"url": "secret"},
        "block_type": {"name": "Slack", "slug": slug, "id": "of this server"},
        "block_schema": {"checksum": "sha256:1", "fields": {}, "id": "of this server"},
        **values,
    }


def block(server: Server, found: dict[str, Any]) -> SavedBlock:
    server.objects["/block_documents/filter"] = [found]
    (saved,) = prefect_content.read().blocks
    return saved


# Blocks


def test_a_block_is_kept_with_its_secrets_its_type_and_its_schema(server: Server) -> None:
    assert block(server, document()) == SavedBlock(
        id="11111111-2222-3333-4444-555555555555",
        name="mine",
        type={
            "name": "Slack",
            "slug": "slack-webhook",
            "logo_url": None,
            "documentation_url": None,
            "description": None,
            "code_example": None,
        },
        schema={"checksum": "sha256:1", "fields": {}, "capabilities": None, "version": None},
        data={"url": "secret"},
    )
    (query,) = [query for path, query in server.queries if path == "/block_documents/filter"]
    assert query["include_secrets"] is True


def test_a_member_that_is_a_block_is_kept_as_a_reference(server: Server) -> None:
    references = {"store": {"block_document": {"id": "S"}}, "gone": {"block_document": None}, "odd": {}}
    saved = block(server, document(data={"store": {"url": "x"}, "a": 1}, block_document_references=references))
    assert (saved.references, saved.data) == ({"store": "S"}, {"a": 1})


def test_a_block_without_data_is_kept(server: Server) -> None:
    saved = block(server, document(data=None, block_document_references=None))
    assert (saved.references, saved.data) == ({}, {})


@pytest.mark.parametrize(
    ("slug", "data", "kept"),
    [
        ("1password-source", {"name": "1Pass"}, {"name": "1Pass", "source_id": "11111111222233334444555555555555"}),
        ("1password-source", {"source_id": ""}, {"source_id": "11111111222233334444555555555555"}),
        ("1password-source", {"source_id": "a" * 32}, {"source_id": "a" * 32}),
        ("slack-webhook", {"name": "x"}, {"name": "x"}),
    ],
    ids=["made in the UI", "empty", "its own", "no source"],
)
def test_a_source_keeps_the_id_that_its_events_have(
    server: Server, slug: str, data: dict[str, Any], kept: dict[str, Any]
) -> None:
    assert block(server, document(slug, data=data)).data == kept


def test_sources_with_a_store_of_their_own_are_named(server: Server) -> None:
    store = {"store": {"block_document": {"id": "S"}}}
    server.objects["/block_documents/filter"] = [
        document("1password-source", data={"name": "two"}, block_document_references=store),
        document("1password-source", data={"name": "one"}, block_document_references=store),
        document("1password-source", data={"name": "three"}),
        document(data={"name": "no source"}, block_document_references=store),
    ]
    assert prefect_content.read().other_stores() == ["one", "two"]


@pytest.mark.parametrize("there", [True, False])
def test_a_server_holds_sources_if_it_has_a_block_of_one(server: Server, there: bool) -> None:
    server.objects["/block_documents/filter"] = [document("1password-source")] * there
    assert prefect_content.holds_sources() is there
    ((_, query),) = server.queries
    assert query == {"block_types": {"slug": {"any_": ["1password-source"]}}}


# Deployments


def deployment(name: str = "1Pass", **values: Any) -> dict[str, Any]:
    return {
        "id": name,
        "name": name,
        "entrypoint": "flows.collect.collect",
        "schedules": [],
        "status": "READY",
        **values,
    }


def test_deployments_of_our_flows_are_kept_and_others_named(server: Server) -> None:
    schedule = {"id": "of this server", "schedule": {"interval": 300}, "active": False, "parameters": {}}
    server.objects["/deployments/filter"] = [
        deployment("of others 2", entrypoint="my.py:flow"),
        deployment(schedules=[schedule], job_variables={"env": {"A": "1"}}),
        deployment("of others 1", entrypoint=None),
    ]
    content = prefect_content.read()
    assert content.other_deployments == ["of others 1", "of others 2"]
    (saved,) = content.deployments
    assert (saved.id, saved.flow) == ("1Pass", "collect")
    assert saved.schedules == [
        {"schedule": {"interval": 300}, "active": False, "max_scheduled_runs": None, "parameters": {}, "slug": None}
    ]
    assert saved.values == {
        **dict.fromkeys(prefect_content.DEPLOYMENT),
        "name": "1Pass",
        "entrypoint": "flows.collect.collect",
        "job_variables": {"env": {"A": "1"}},
    }


@pytest.mark.parametrize(
    ("shown", "limit"),
    [
        ({"concurrency_limit": 2}, 2),
        ({"global_concurrency_limit": {"limit": 1}}, 1),
        ({"global_concurrency_limit": {"limit": 1}, "concurrency_limit": 2}, 1),
        ({"global_concurrency_limit": None, "concurrency_limit": 2}, 2),
        ({}, None),
    ],
)
def test_a_deployment_keeps_its_limit(server: Server, shown: dict[str, Any], limit: int | None) -> None:
    server.objects["/deployments/filter"] = [deployment(**shown)]
    (saved,) = prefect_content.read().deployments
    assert saved.values["concurrency_limit"] == limit


# The rest


def test_automations_and_variables_are_kept_as_the_api_takes_them(server: Server) -> None:
    server.objects["/automations/filter"] = [{"id": "A", "name": "n", "actions": [], "owner": "x", "created": "y"}]
    server.objects["/variables/filter"] = [{"id": "V", "name": "v", "value": {"a": 1}, "tags": ["t"], "created": "y"}]
    content = prefect_content.read()
    assert content.automations == [SavedAutomation("A", {"name": "n", "actions": []})]
    assert content.variables == [{"name": "v", "value": {"a": 1}, "tags": ["t"]}]


def test_the_work_pool_keeps_whether_it_is_paused_and_its_limit(server: Server) -> None:
    assert prefect_content.read().work_pool == {"is_paused": True, "concurrency_limit": 4}


def test_an_empty_server_has_nothing(server: Server) -> None:
    server.work_pool = None
    assert prefect_content.read() == PrefectContent([], [], [], [], {}, [])


@pytest.mark.parametrize(("number", "offsets"), [(0, [0]), (1, [0]), (2, [0, 2]), (3, [0, 2]), (4, [0, 2, 4])])
def test_all_pages_are_read(server: Server, monkeypatch: pytest.MonkeyPatch, number: int, offsets: list[int]) -> None:
    monkeypatch.setattr(prefect_content, "PAGE", 2)
    server.objects["/deployments/filter"] = [deployment(str(place)) for place in range(number)]
    content = prefect_content.read()
    assert [saved.id for saved in content.deployments] == [str(place) for place in range(number)]
    assert all(isinstance(saved, SavedDeployment) for saved in content.deployments)
    queried = [query["offset"] for path, query in server.queries if path == "/deployments/filter"]
    assert queried == offsets
