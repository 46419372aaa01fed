"""Applying sources: what is written to the store and to Prefect, what is checked before, and what stays as it is."""

from __future__ import annotations

import json
import shutil
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest
from support.source_documents import token
from support.values import SOURCE

from blocks.config.source_file import parse_sources
from blocks.errors import FirstPartyGenericError, ThirdPartyConfigError, ThirdPartyGenericError
from blocks.prefect_names import block_name
from blocks.problems import ConfigurationError, Problem
from blocks.siem.configuration import KINDS
from blocks.source import OnePasswordSource
from blocks.store import audit_log, lifecycle, schema, streams
from blocks.store import sources as stored_sources
from blocks.store.engine import open_engine
from blocks.store.forwarding import forward_pairs
from deployments import sources
from deployments.prefect_api import source_runs
from deployments.sources import AppliedSource, apply_all
from deployments.token_check import TokenCheck
from deployments.token_rules import DEFAULT_RULES, TokenRules

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from sqlalchemy import Engine

    from blocks.config.source_config import SourceConfig
    from blocks.store.lifecycle import SourceIdentity
    from deployments.prefect_api.deployment_specs import SourceDeployment

APIS = ("sign-in", "itemUsage", "audit")
FIRST, SECOND = token(iat=1_000_000_000), token(iat=1_100_000_000)
REJECTED = ThirdPartyConfigError("The token was rejected.", hint="Replace it.")


def config(name: str = "1Pass", **members: Any) -> SourceConfig:
    given = {
        "name": name,
        "base_url": "events.1password.com",
        "api_token": FIRST,
        "supported_apis": list(APIS),
        **members,
    }
    source = {"sourceType": "Universal", "schemaRef": {"type": "1Password"}, "config": given}
    (found,) = parse_sources(json.dumps({"source": source}).encode(), allowed_hosts=frozenset())
    return found


@dataclass
class Document:
    """A block as Prefect keeps it, with the blocks that it refers to."""

    id: UUID
    name: str
    data: dict[str, Any]
    block_document_references: dict[str, Any] = field(default_factory=dict)


@dataclass
class Prefect:
    """A Prefect server in memory: its blocks, what was saved and deployed, and which tokens were introspected."""

    sources: dict[str, Document] = field(default_factory=dict)
    credentials: dict[str, Document] = field(default_factory=dict)
    saved: list[tuple[str, str, UUID | None]] = field(default_factory=list)
    """Kind and name of each block, and the document that it replaced."""
    nested: dict[str, UUID] = field(default_factory=dict)
    deployed: list[SourceDeployment] = field(default_factory=list)
    like: list[Sequence[Any]] = field(default_factory=list)
    prefetched: list[str] = field(default_factory=list)
    pairs: list[tuple[str, str]] = field(default_factory=list)
    checked: list[tuple[str, str | None, bool]] = field(default_factory=list)
    """Name, the account that the token must be of, and whether it may be unchecked."""
    problems: dict[str, Exception] = field(default_factory=dict)
    """What is wrong with the token of a source."""
    stopped: list[tuple[str, float]] = field(default_factory=list)

    def read_named(
        self, client: object, slugs: Sequence[str], names: Sequence[str], *, include_secrets: bool = False
    ) -> list[Document]:
        assert client is self
        held = self.sources if slugs == [OnePasswordSource.get_block_type_slug()] else self.credentials
        assert include_secrets is (held is self.sources), "the token is in the source's own document"
        return [held[name] for name in names if name in held]

    def read_all(self, client: object, slug: str) -> list[Document]:
        assert client is self
        assert slug == OnePasswordSource.get_block_type_slug()
        return sorted(self.sources.values(), key=lambda one: one.name)

    def save(
        self, _client: object, block: Any, name: str, there: UUID | None, nested: dict[str, UUID] | None = None
    ) -> UUID:
        is_source = isinstance(block, OnePasswordSource)
        self.saved.append(("source" if is_source else "credentials", name, there))
        data = block.model_dump(mode="json", context={"include_secrets": True})
        document = Document(there or uuid4(), name, data)
        if is_source:
            assert nested is not None
            self.nested = dict(nested)
            for member, id_ in nested.items():
                document.block_document_references[member] = {"block_document": {"id": str(id_)}}
        (self.sources if is_source else self.credentials)[name] = document
        return document.id

    @staticmethod
    def nested_id(document: Document, member: str) -> UUID | None:
        found = document.block_document_references.get(member)
        return UUID(found["block_document"]["id"]) if found else None

    def check(self, given: SourceConfig, pinned: str | None, *, unchecked: bool) -> TokenCheck:
        self.checked.append((given.name, pinned, unchecked))
        if problem := self.problems.get(given.name):
            raise problem
        return TokenCheck(None, None, (f"The token of {given.name} expires.",))

    def stop_runs(self, _engine: object, source_id: str, seconds: float) -> None:
        self.stopped.append((source_id, seconds))

    def document(self, name: str = "1Pass") -> Document:
        return self.sources[block_name(name)]

    def clear(self) -> None:
        """Forget what was done, and keep the blocks."""
        for done in (self.saved, self.deployed, self.checked, self.stopped, self.pairs):
            done.clear()


class Deployer:
    """Stands for the deployer of Prefect's deployments."""

    def __init__(self, prefect: Prefect) -> None:
        self._prefect = prefect

    def prefetch(self, specs: Sequence[dict[str, Any]]) -> None:
        self._prefect.prefetched += [spec["name"] for spec in specs]

    def deploy_source(self, wanted: SourceDeployment, like: Sequence[Any]) -> None:
        self._prefect.deployed.append(wanted)
        self._prefect.like.append(like)

    def deploy(self, spec: dict[str, Any], *, paused: bool) -> None:
        assert not paused
        self._prefect.pairs.append((spec["parameters"]["source"], spec["parameters"]["siem"]))


@pytest.fixture
def engine(migrated_sqlite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """The store of the settings, without sources."""
    shutil.copy(migrated_sqlite, tmp_path / "events.db")
    monkeypatch.setenv("ONEPASSWORD_SOURCE_DATABASE_URL", f"sqlite:///{tmp_path / 'events.db'}")
    opened = open_engine(f"sqlite:///{tmp_path / 'events.db'}")
    yield opened
    opened.dispose()


@pytest.fixture
def prefect(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Prefect:
    assert engine
    own = Prefect()

    @contextmanager
    def client(*, sync_client: bool) -> Iterator[Prefect]:
        assert sync_client
        yield own

    monkeypatch.setattr(sources, "get_client", client)
    monkeypatch.setattr(sources, "block_documents", own)
    monkeypatch.setattr(sources, "Deployer", Deployer)
    monkeypatch.setattr(sources.token_check, "check_config", own.check)
    monkeypatch.setattr(source_runs, "stop_runs", own.stop_runs)
    return own


def apply(*configs: SourceConfig, rules: TokenRules = DEFAULT_RULES) -> list[AppliedSource]:
    return list(apply_all(configs, rules))


def apply_one(given: SourceConfig, rules: TokenRules = DEFAULT_RULES) -> AppliedSource:
    (found,) = apply(given, rules=rules)
    return found


def identity(engine: Engine, name: str = "1Pass") -> SourceIdentity:
    found = lifecycle.find(engine, name)
    assert found
    return found


def delete(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE sources SET deleted_ns = 5")


def fail(engine: Engine, source_id: str) -> None:
    """All APIs are stopped by an error."""
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE streams SET error_type = 'ThirdPartyConfigError', error_ns = 5")
    assert len(streams.of_source(engine, source_id, SOURCE.apis)) == 3


def test_a_new_source_gets_blocks_a_row_and_deployments(prefect: Prefect, engine: Engine) -> None:
    applied = apply_one(config(description="Ours."))
    assert applied == AppliedSource("1Pass", "created", APIS, warnings=("The token of 1Pass expires.",))
    name = block_name("1Pass")
    assert prefect.saved == [("credentials", name, None), ("source", name, None)]
    assert prefect.nested == {"credentials": prefect.credentials[name].id}
    assert prefect.checked == [("1Pass", None, False)]
    source_id = prefect.document().data["source_id"]
    assert identity(engine).id == source_id
    (wanted,) = prefect.deployed
    assert (wanted.source, wanted.source_id, wanted.paused) == ("1Pass", source_id, False)
    assert wanted.description == (
        "Ours.\n\nCollects what is new in the 1Password account of 1Pass, every five minutes."
    )
    assert prefect.stopped == []


def test_the_same_again_writes_nothing_and_checks_nothing(prefect: Prefect, engine: Engine) -> None:
    apply_one(config())
    prefect.clear()
    assert apply_one(config()) == AppliedSource("1Pass", "unchanged", APIS)
    assert (prefect.saved, prefect.checked, prefect.stopped) == ([], [], [])
    assert [one.source for one in prefect.deployed] == ["1Pass"], "a deployment that was removed is made again"
    assert identity(engine).id == prefect.document().data["source_id"]


def test_another_description_restarts_it_without_a_check(prefect: Prefect, engine: Engine) -> None:
    apply_one(config())
    before, credentials = prefect.document().id, prefect.credentials[block_name("1Pass")].id
    prefect.clear()
    applied = apply_one(config(description="New."))
    assert applied == AppliedSource("1Pass", "updated", APIS, restarted=True)
    assert prefect.checked == []
    assert [there for _, _, there in prefect.saved] == [credentials, before], "the blocks are replaced"
    source_id = identity(engine).id
    assert prefect.document().data["source_id"] == source_id
    assert prefect.stopped == [(source_id, source_runs.SHORT_SECONDS)]
    assert audit_log.newest(engine)[0].action == "apply"


@pytest.mark.parametrize(
    "members",
    [
        {"api_token": SECOND},
        {"base_url": "events.1password.eu"},
        {"api_version": "v1"},
        {"supported_apis": ["audit"]},
    ],
)
def test_a_token_that_is_new_or_used_in_a_new_way_is_checked(
    prefect: Prefect, engine: Engine, members: dict[str, Any]
) -> None:
    apply_one(config())
    pin(engine, "ACCOUNT")
    prefect.clear()
    applied = apply_one(config(**members), TokenRules(unchecked=True))
    assert (applied.change, applied.restarted) == ("updated", True)
    assert applied.apis == tuple(members.get("supported_apis", APIS))
    assert prefect.checked == [("1Pass", "ACCOUNT", True)]


def pin(engine: Engine, account: str) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE sources SET account_uuid = '{account}'")


def test_errors_are_cleared_when_it_is_restarted(prefect: Prefect, engine: Engine) -> None:
    apply_one(config())
    source_id = identity(engine).id
    fail(engine, source_id)
    assert apply_one(config()).restarted is False
    assert errors(engine) == ["ThirdPartyConfigError"] * 3
    apply_one(config(description="New."))
    assert errors(engine) == [None] * 3
    assert prefect.stopped


def errors(engine: Engine) -> list[str | None]:
    with engine.connect() as connection:
        return [row[0] for row in connection.exec_driver_sql("SELECT error_type FROM streams")]


def test_a_token_of_another_account_needs_a_rule(prefect: Prefect, engine: Engine) -> None:
    apply_one(config())
    pin(engine, "ACCOUNT")
    prefect.clear()
    applied = apply_one(config(api_token=SECOND), TokenRules(new_account=True))
    assert prefect.checked == [("1Pass", None, False)]
    assert applied.restarted
    assert identity(engine).account_uuid is None


def test_with_that_rule_an_unchanged_source_is_restarted_too(prefect: Prefect, engine: Engine) -> None:
    apply_one(config())
    pin(engine, "ACCOUNT")
    prefect.clear()
    applied = apply_one(config(), TokenRules(new_account=True))
    assert (applied.change, applied.restarted) == ("unchanged", True)
    assert (prefect.saved, prefect.checked) == ([], [])
    assert identity(engine).account_uuid is None


def test_a_source_that_the_store_knows_is_checked_for_its_account(prefect: Prefect, engine: Engine) -> None:
    stored_sources.save(engine, SOURCE)
    pin(engine, "ACCOUNT")
    apply_one(config())
    assert prefect.checked == [("1Pass", "ACCOUNT", False)]
    assert identity(engine).id == SOURCE.id == prefect.document().data["source_id"]


def test_an_older_token_is_refused_unless_a_rule_allows_it(prefect: Prefect) -> None:
    apply_one(config(api_token=SECOND))
    prefect.clear()
    refused = apply_one(config(api_token=FIRST))
    assert (refused.change, refused.problem.startswith("The token in the file was issued ")) == ("refused", True)
    assert (prefect.saved, prefect.checked, prefect.deployed) == ([], [], [])
    assert apply_one(config(api_token=FIRST), TokenRules(replace_token=True)).change == "updated"
    assert prefect.checked == [("1Pass", None, False)]


@pytest.mark.parametrize("problem", [REJECTED, ThirdPartyGenericError("It timed out.", hint="Apply it again.")])
def test_a_refused_source_changes_nothing_and_stops_no_other(
    prefect: Prefect, engine: Engine, problem: Exception
) -> None:
    prefect.problems["b"] = problem
    found = apply(config("a"), config("b", supported_apis=["audit"]), config("c"))
    assert [one.change for one in found] == ["created", "refused", "created"]
    assert found[1] == AppliedSource("b", "refused", ("audit",), problem=str(problem))
    assert {one.source for one in prefect.deployed} == {"a", "c"}
    assert lifecycle.find(engine, "b") is None
    assert block_name("b") not in prefect.sources


def test_results_are_in_the_order_of_the_file(prefect: Prefect) -> None:
    names = [f"s{number}" for number in range(20)]
    assert [one.name for one in apply(*map(config, names))] == names
    assert set(prefect.prefetched) >= {one.source for one in prefect.deployed} or prefect.prefetched


def test_another_error_ends_it_and_what_was_applied_stays(prefect: Prefect, engine: Engine) -> None:
    prefect.problems["b"] = FirstPartyGenericError("The store did not answer.", code="store")
    results = apply_all([config("a"), config("b")], DEFAULT_RULES)
    assert next(results).change == "created"
    with pytest.raises(FirstPartyGenericError):
        next(results)
    assert identity(engine, "a").name == "a"


def test_nothing_to_apply_is_no_problem(prefect: Prefect) -> None:
    assert apply() == []
    assert prefect.deployed == []


def test_a_block_that_cannot_be_read_is_repaired_with_its_id(prefect: Prefect, engine: Engine) -> None:
    apply_one(config())
    source_id = identity(engine).id
    document = prefect.document()
    document.data = {"name": "1Pass"}
    prefect.clear()
    applied = apply_one(config())
    assert (applied.change, applied.restarted) == ("updated", True)
    assert identity(engine).id == source_id == prefect.document().data["source_id"]
    assert prefect.saved[1] == ("source", block_name("1Pass"), document.id)
    assert prefect.checked == [("1Pass", None, False)]


@pytest.mark.parametrize(("store", "kept"), [({"url": "URL"}, True), ({}, False), ({"other": 5}, False)])
def test_a_block_that_cannot_be_read_keeps_the_store_of_its_own(
    prefect: Prefect, engine: Engine, tmp_path: Path, store: dict[str, Any], *, kept: bool
) -> None:
    own = open_engine(f"sqlite:///{tmp_path / 'own.db'}")
    schema.upgrade(own)
    stored_sources.save(own, SOURCE)
    held = {member: value if value != "URL" else f"sqlite:///{tmp_path / 'own.db'}" for member, value in store.items()}
    document = Document(uuid4(), block_name("1Pass"), {"name": "1Pass", "store": held})
    store_id = uuid4()
    document.block_document_references["store"] = {"block_document": {"id": str(store_id)}}
    prefect.sources[document.name] = document
    assert apply_one(config()).change == "updated"
    assert prefect.nested.get("store") == (store_id if kept else None)
    assert (prefect.document().data["source_id"] == SOURCE.id) is kept
    assert (lifecycle.find(engine, "1Pass") is None) is kept
    own.dispose()


def test_what_the_store_has_of_it_is_renewed_and_its_errors_cleared(prefect: Prefect, engine: Engine) -> None:
    apply_one(config())
    fail(engine, identity(engine).id)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE sources SET fingerprint = 'of another configuration'")
    assert apply_one(config()).change == "unchanged"
    assert errors(engine) == [None] * 3
    assert prefect.stopped == []


def test_a_block_that_a_person_made_invalid_is_repaired(prefect: Prefect, engine: Engine) -> None:
    apply_one(config())
    source_id = identity(engine).id
    prefect.document().data["credentials"]["base_url"] = "no host"
    prefect.clear()
    assert apply_one(config()).change == "updated"
    assert prefect.checked == [("1Pass", None, False)]
    assert (identity(engine).id, apply_one(config()).change) == (source_id, "unchanged")


def test_a_deleted_source_is_revived_with_its_id(prefect: Prefect, engine: Engine) -> None:
    apply_one(config())
    source_id = identity(engine).id
    delete(engine)
    prefect.sources.clear()
    prefect.credentials.clear()
    prefect.clear()
    applied = apply_one(config())
    assert (applied.change, applied.restarted, applied.stopped) == ("revived", True, False)
    assert (identity(engine).id, identity(engine).deleted_ns) == (source_id, None)
    assert prefect.document().data["source_id"] == source_id


def test_a_deleted_source_with_its_block_is_revived_too(prefect: Prefect, engine: Engine) -> None:
    apply_one(config())
    lifecycle.pause(engine, identity(engine))
    delete(engine)
    prefect.clear()
    applied = apply_one(config())
    assert (applied.change, applied.restarted, applied.stopped) == ("revived", True, False)
    assert len(prefect.saved) == 2
    assert prefect.deployed[0].paused is False


def test_a_stopped_source_stays_stopped(prefect: Prefect, engine: Engine) -> None:
    apply_one(config())
    lifecycle.pause(engine, identity(engine))
    prefect.clear()
    assert apply_one(config()) == AppliedSource("1Pass", "unchanged", APIS, stopped=True)
    changed = apply_one(config(description="New."))
    assert (changed.restarted, changed.stopped) == (True, True)
    assert [one.paused for one in prefect.deployed] == [True, True]


def test_a_source_keeps_the_store_of_its_own(prefect: Prefect, engine: Engine, tmp_path: Path) -> None:
    apply_one(config())
    source_id = identity(engine).id
    url, store_id = f"sqlite:///{tmp_path / 'own.db'}", uuid4()
    document = prefect.document()
    document.data["store"] = {"url": url}
    document.block_document_references["store"] = {"block_document": {"id": str(store_id)}}
    apply_one(config(description="New."))
    assert prefect.nested["store"] == store_id
    own = open_engine(url)
    assert identity(own).id == source_id
    own.dispose()


def test_a_change_is_recorded_as_done_by_the_person_who_acts(prefect: Prefect, engine: Engine) -> None:
    apply_one(config())
    with audit_log.acting_as("ana (console)"):
        apply_one(config(description="New."))
    assert prefect.stopped
    assert audit_log.newest(engine)[0].actor == "ana (console)"


def test_the_pairs_of_a_source_are_deployed_with_it(prefect: Prefect, engine: Engine) -> None:
    stored_sources.save(engine, replace(SOURCE, fields={"_siemForward": True}))
    for siem in ("soc", "lake"):
        forward_pairs.save(engine, SOURCE.id, siem, "splunk", {}, "first")
    apply(config(), config("other"))
    assert sorted(prefect.pairs) == [("1Pass", "lake"), ("1Pass", "soc")]


def test_a_source_may_be_deployed_alone(prefect: Prefect) -> None:
    like: list[Any] = [SimpleNamespace()]
    sources.deploy("1Pass", None, SOURCE.id, paused=True, like=like)
    (wanted,) = prefect.deployed
    assert wanted.description == "Collects what is new in the 1Password account of 1Pass, every five minutes."
    assert (wanted.source, wanted.source_id, wanted.paused) == ("1Pass", SOURCE.id, True)
    assert prefect.like == [like]
    sources.deploy("1Pass", None, SOURCE.id)
    assert prefect.deployed[1].paused is False


def test_a_store_that_does_not_answer_keeps_no_source_from_its_deployment(
    prefect: Prefect, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable() -> Engine:
        raise FirstPartyGenericError("The store did not answer.", code="store")

    apply(config("a"), config("b", description="Ours."))
    prefect.clear()
    monkeypatch.setattr(sources, "open_default_store", unreachable)
    assert sources.deploy_all() == ["a", "b"]
    assert {one.source: one.paused for one in prefect.deployed} == {"a": False, "b": False}
    assert {str(one.description).startswith("Ours.\n\n") for one in prefect.deployed} == {True, False}
    assert prefect.pairs == []


def test_every_source_that_is_there_is_deployed(prefect: Prefect, engine: Engine) -> None:
    apply(*(config(name) for name in ("kept", "stopped", "deleted", "renamed", "copied")))
    lifecycle.pause(engine, identity(engine, "stopped"))
    lifecycle.rename(engine, identity(engine, "renamed"), "its new name", paused=False)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE sources SET deleted_ns = 5 WHERE name = 'deleted'")
    prefect.document("copied").name = "a-copy-under-another-name"
    prefect.clear()
    assert sources.deploy_all() == ["kept", "stopped"]
    assert {one.source: one.paused for one in prefect.deployed} == {"kept": False, "stopped": True}
    assert {one.source_id for one in prefect.deployed} == {
        identity(engine, "kept").id,
        identity(engine, "stopped").id,
    }


def test_a_block_that_was_made_in_the_ui_is_deployed_by_the_id_of_its_document(prefect: Prefect) -> None:
    made = Document(UUID("7" * 32), block_name("by hand"), {"name": "by hand", "description": None})
    prefect.sources[made.name] = made
    assert sources.deploy_all() == ["by hand"]
    assert prefect.deployed[0].source_id == "7" * 32
    prefect.sources = {"": Document(UUID("8" * 32), "", {})}
    assert sources.deploy_all() == [], "a block without a name is no source"


@pytest.mark.parametrize(
    ("answer", "exists"),
    [("the block", True), (ValueError("none"), False), (ConfigurationError([Problem("$", "no", "yes")]), True)],
)
def test_a_source_exists_if_it_has_a_block_valid_or_not(
    monkeypatch: pytest.MonkeyPatch, answer: object, *, exists: bool
) -> None:
    names: list[str] = []

    def load(name: str) -> object:
        names.append(name)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(OnePasswordSource, "load", load)
    assert sources.exists("1Pass") is exists
    assert names == [block_name("1Pass")]
    if isinstance(answer, ConfigurationError):
        with pytest.raises(ConfigurationError):
            sources.find("1Pass")
    else:
        assert sources.find("1Pass") == (answer if exists else None)


@pytest.mark.parametrize("siems", [False, True])
def test_block_types_are_registered_with_those_of_siems_if_wanted(
    monkeypatch: pytest.MonkeyPatch, *, siems: bool
) -> None:
    registered: list[str] = []
    monkeypatch.setattr(
        sources.OnePasswordSource.__mro__[2],
        "register_type_and_schema",
        classmethod(lambda cls: registered.append(cls.__name__)),
    )
    sources.register_blocks(siems=siems)
    assert registered[:3] == ["OnePasswordCredentials", "EventStore", "OnePasswordSource"]
    assert len(registered) == 3 + (len(KINDS) if siems else 0)
    assert ("SplunkSiem" in registered) is siems
