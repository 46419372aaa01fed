"""The block of a source, and the two that it is filled in with: their forms, their checks, what they hide and open."""

from __future__ import annotations

import copy
import json
import pickle
import re
import subprocess
import sys
import traceback
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import jwt
import pytest
from prefect.client.schemas.objects import BlockDocument
from prefect.testing.standard_test_suites import BlockStandardTestSuite
from pydantic import SecretStr

from blocks.config.source_file import ConfigurationError, Secret, SourceConfig, check_members
from blocks.errors import ThirdPartyConfigError
from blocks.events_api.credentials import OnePasswordCredentials
from blocks.events_api.models import Api
from blocks.problems import Problem
from blocks.source import OnePasswordSource
from blocks.store.block import EventStore

if TYPE_CHECKING:
    from prefect.blocks.core import Block

TOKEN = jwt.encode({"jti": "made up"}, "k" * 32, algorithm="HS256")
PASSWORD = "hunter2hunter2"
CONFIG = SourceConfig(
    name="1Pass",
    description=None,
    category="sec/1password",
    fields={"_siemForward": True, "team": "blue"},
    base_url="https://events.1password.com",
    api_token=Secret(TOKEN),
    supported_apis=(Api.ITEM_USAGE, Api.SIGN_IN),
    api_version="v1",
    collect_from="7d",
)
BLOCKS = (OnePasswordSource, OnePasswordCredentials, EventStore)


def source(**members: Any) -> OnePasswordSource:
    block = OnePasswordSource.from_config(CONFIG, source_id="a" * 32)
    block.store = EventStore(url=SecretStr(f"postgresql://collector:{PASSWORD}@db.example.com/events"))
    return block.model_copy(update=members)


def credentials(**members: Any) -> OnePasswordCredentials:
    return OnePasswordCredentials(**{"base_url": "events.1password.com", "api_token": TOKEN, **members})


@pytest.mark.parametrize("block", BLOCKS)
class TestTheStandardSuite(BlockStandardTestSuite):
    @pytest.fixture
    def block(self, request: pytest.FixtureRequest) -> type[Block]:
        kind: type[Block] = request.param
        return kind

    def test_has_a_valid_image(self, block: type[Block]) -> None:
        """A logo would be fetched from elsewhere by the browser of everyone who opens the UI."""
        assert block._logo_url is None


def form_of(block: type[Block]) -> dict[str, Any]:
    properties: dict[str, Any] = block.model_json_schema()["properties"]
    return properties


# The form


def test_the_secrets_are_secrets_to_prefect() -> None:
    assert OnePasswordCredentials.model_json_schema()["secret_fields"] == ["api_token"]
    assert OnePasswordSource.model_json_schema()["secret_fields"] == ["credentials.api_token", "store.url"]
    assert EventStore.model_json_schema()["secret_fields"] == ["url"]


def test_the_form_offers_what_there_is() -> None:
    form = form_of(OnePasswordSource)
    assert form["supported_apis"]["items"]["enum"] == list(Api)
    assert form["api_version"]["enum"] == ["v2", "v1"]
    assert OnePasswordSource.model_json_schema()["required"] == ["name", "credentials", "supported_apis"]
    assert "Leave it" in form["source_id"]["description"]


def test_the_form_refuses_a_token_with_white_space() -> None:
    pattern = form_of(OnePasswordCredentials)["api_token"]["pattern"]
    assert re.search(pattern, TOKEN)
    assert not re.search(pattern, f"{TOKEN[:5]} {TOKEN[5:]}")


# The block and the configuration


def test_a_source_keeps_its_configuration() -> None:
    assert source().validated().config() == CONFIG


def test_a_source_keeps_what_is_empty() -> None:
    config = check_members(
        {"name": "n", "base_url": "events.1password.eu", "api_token": TOKEN, "supported_apis": ["audit"]},
        allowed_hosts=frozenset(),
    )
    assert OnePasswordSource.from_config(config).config() == config


def test_each_source_has_an_id_of_its_own() -> None:
    ids = {OnePasswordSource.from_config(CONFIG).source_id for _ in range(3)}
    assert len(ids) == 3
    assert all(re.fullmatch("[0-9a-f]{32}", source_id) for source_id in ids)
    assert OnePasswordSource.from_config(CONFIG, source_id="b" * 32).source_id == "b" * 32


def document_of(block: Block, **data: Any) -> BlockDocument:
    return BlockDocument(
        id=uuid4(),
        name="1pass",
        data={**json.loads(block.model_dump_json(context={"include_secrets": True})), **data},
        block_schema_id=uuid4(),
        block_schema=OnePasswordSource._to_block_schema(),
        block_type_id=uuid4(),
    )


@pytest.mark.parametrize("empty", ["", None])
def test_a_source_made_in_the_ui_has_the_same_id_at_each_load(empty: str | None, quiet: None) -> None:
    document = document_of(source(), source_id=empty)
    loaded = [OnePasswordSource._from_block_document(document) for _ in range(2)]
    assert [block.source_id for block in loaded] == [document.id.hex] * 2
    del document.data["source_id"]
    assert OnePasswordSource._from_block_document(document).validated().source_id == document.id.hex


def test_a_loaded_source_is_the_saved_one(quiet: None) -> None:
    loaded = OnePasswordSource._from_block_document(document_of(source()))
    assert (loaded.config(), loaded.source_id, loaded.fingerprint()) == (CONFIG, "a" * 32, source().fingerprint())
    assert loaded.store is not None
    assert PASSWORD in loaded.store.url.get_secret_value()


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading a block sends an event to Prefect's API, and these tests have no server."""
    monkeypatch.setattr("prefect.blocks.core.emit_event", lambda **_: None)


@pytest.mark.parametrize(
    ("base_url", "token"), [("", Secret(TOKEN)), ("https://events.1password.com", None), ("", None)]
)
def test_without_a_token_or_its_host_there_is_no_block(base_url: str, token: Secret | None) -> None:
    with pytest.raises(ConfigurationError) as raised:
        OnePasswordSource.from_config(SourceConfig("n", None, None, {}, base_url, token, (Api.AUDIT,)))
    assert raised.value.problems == (Problem("$.api_token", "there is no token", "the token of the account"),)


def test_a_document_is_read_without_an_event_of_prefect() -> None:
    document = document_of(source(), source_id="")
    loaded = OnePasswordSource.from_document(document)
    assert (loaded.config(), loaded.source_id) == (CONFIG, document.id.hex)
    assert OnePasswordSource.from_document(document_of(source())).source_id == "a" * 32


@pytest.mark.parametrize("empty", ["", None])
def test_a_new_block_without_an_id_gets_one(empty: str | None) -> None:
    data = {**document_of(source()).data, "source_id": empty}
    assert re.fullmatch("[0-9a-f]{32}", OnePasswordSource.model_validate(data).source_id)


# The processing rules

RULE = {"name": "no fills", "filterType": "Exclude", "regexp": ".*fill.*"}


@pytest.mark.parametrize(
    ("members", "kept"),
    [
        ({}, {}),
        ({"filters": []}, {}),
        ({"hosted": {"hashAlgorithm": "MD5"}}, {}),
        ({"filters": [], "hosted": {"hashAlgorithm": "MD5"}}, {}),
        ({"filters": [RULE]}, {"filters": [RULE]}),
        ({"filters": [RULE], "hosted": {"hashAlgorithm": ""}}, {"filters": [RULE]}),
        (
            {"filters": [RULE], "hosted": {"hashAlgorithm": "MD5", "encoding": "UTF-8"}},
            {"filters": [RULE], "hashAlgorithm": "MD5"},
        ),
    ],
)
def test_the_store_keeps_the_rules_and_their_algorithm_if_there_are_rules(
    members: dict[str, Any], kept: dict[str, Any]
) -> None:
    assert source(**members).processing_rules() == kept


@pytest.mark.parametrize("filters", [None, [], [RULE]])
def test_a_block_has_the_rules_of_its_file_as_they_are(filters: list[dict[str, Any]] | None) -> None:
    """None is not empty: a file without rules is exported without them."""
    hosted = {"hashAlgorithm": "SHA-256"}
    block = OnePasswordSource.from_config(replace(CONFIG, filters=filters, hosted=hosted))
    assert (block.filters, block.hosted) == (filters, hosted)
    config = block.config()
    assert (None if config.filters is None else [dict(rule) for rule in config.filters]) == filters


# What a person may type into the form


@pytest.mark.parametrize(
    ("members", "path"),
    [
        ({"name": ""}, "block.name"),
        ({"category": "a\nb"}, "block.category"),
        ({"fields": {"a": [1]}}, "block.fields.a"),
        ({"supported_apis": []}, "block.supported_apis"),
        ({"collect_from": "yesterday"}, "block.collect_from"),
        ({"source_id": "my id"}, "block.source_id"),
        ({"credentials": credentials(base_url="my.1password.com")}, "block.base_url"),
        ({"credentials": credentials(api_token="a b")}, "block.api_token"),
        ({"credentials": credentials(api_token="********")}, "block.api_token"),
        ({"credentials": credentials(api_token="")}, "block.api_token"),
    ],
)
def test_nonsense_is_refused_with_its_place(members: dict[str, Any], path: str) -> None:
    with pytest.raises(ThirdPartyConfigError) as raised:
        source(**members).validated()
    assert isinstance(raised.value, ConfigurationError)
    assert [problem.path for problem in raised.value.problems] == [path]


def test_all_problems_are_reported_at_once() -> None:
    with pytest.raises(ConfigurationError) as raised:
        source(name="", collect_from="soon", source_id="x").validated()
    assert len(raised.value.problems) == 3


@pytest.mark.parametrize(
    "members",
    [
        {"supported_apis": ["audits"]},
        {"supported_apis": "audit"},
        {"api_version": "v3"},
        {"name": None},
        {"fields": "x"},
        {"credentials": {"api_token": TOKEN}},
        {"credentials": {"base_url": ["x"], "api_token": TOKEN}},
        {"credentials": TOKEN},
        {"store": {"url": [f"{PASSWORD}"]}},
    ],
)
def test_what_prefect_cannot_read_is_a_problem_that_quotes_nothing(members: dict[str, Any]) -> None:
    data = {**document_of(source()).data, **members}
    with pytest.raises(ConfigurationError) as raised:
        OnePasswordSource.model_validate(data)
    shown = "".join(traceback.format_exception(raised.value))
    pickled = pickle.dumps(raised.value)
    assert raised.value.problems[0].path.startswith("block")
    for secret in (TOKEN, PASSWORD):
        assert secret not in shown
        assert secret.encode() not in pickled
    assert raised.value.__context__ is None


def test_a_host_that_the_settings_allow(monkeypatch: pytest.MonkeyPatch) -> None:
    block = source(credentials=credentials(base_url="proxy.example.com"))
    with pytest.raises(ConfigurationError, match=r"proxy\.example\.com"):
        block.validated()
    monkeypatch.setenv("ONEPASSWORD_SOURCE_ALLOWED_HOSTS", "proxy.example.com")
    assert block.validated().config().base_url == "https://proxy.example.com"


# Nothing shows a token


def test_nothing_shows_the_token_or_the_password() -> None:
    block = source()
    for thing in (block, block.credentials, block.store):
        assert thing is not None
        shown = [repr(thing), str(thing), f"{thing}", str(thing.model_dump()), thing.model_dump_json()]
        for secret in (TOKEN, PASSWORD):
            assert not [text for text in shown if secret in text]
            assert secret.encode() not in pickle.dumps(thing)


def test_a_token_under_a_wrong_key_is_not_shown_either() -> None:
    block = credentials(api_tokn=TOKEN[::-1])
    assert TOKEN[::-1] not in repr(block)
    assert TOKEN[::-1].encode() not in pickle.dumps(block)


def test_a_pickled_source_is_a_source_without_its_secrets() -> None:
    again = pickle.loads(pickle.dumps(source()))  # noqa: S301 - our own bytes
    assert (again.name, again.source_id) == ("1Pass", "a" * 32)
    with pytest.raises(ConfigurationError, match="there is no token in the block"):
        again.validated()
    with pytest.raises(ConfigurationError, match="there is no token in the block"):
        again.credentials.get_client()


def test_a_copy_in_memory_keeps_the_token() -> None:
    assert copy.deepcopy(source()).config().api_token == Secret(TOKEN)
    assert source().model_copy(deep=True).config().api_token == Secret(TOKEN)


# The fingerprint


def test_the_fingerprint_is_the_same_for_the_same_requests() -> None:
    assert re.fullmatch("[0-9a-f]{32}", source().fingerprint())
    same = [
        source(name="other", description="d", category="c", fields={}, source_id="b" * 32, store=None),
        source(supported_apis=["sign-in", "itemUsage"]),
        source(credentials=credentials(base_url="https://EVENTS.1password.com/")),
    ]
    assert {block.fingerprint() for block in same} == {source().fingerprint()}


def test_the_fingerprint_changes_with_what_the_requests_depend_on() -> None:
    blocks = [
        source(),
        source(credentials=credentials(api_token=f"{TOKEN}x")),
        source(credentials=credentials(base_url="events.1password.eu")),
        source(supported_apis=["itemUsage"]),
        source(api_version="v2"),
        source(collect_from="8d"),
    ]
    assert len({block.fingerprint() for block in blocks}) == len(blocks)


def test_the_fingerprint_does_not_change_from_version_to_version() -> None:
    block = source(credentials=credentials(api_token="a.b.c"))
    assert block.fingerprint() == "c0f29c63f2d1b319afb869c18269e0f3"


# What a block opens


def test_a_client_of_the_account() -> None:
    with credentials().get_client("v1") as client:
        assert client.api_version == "v1"
        assert "https://events.1password.com" in repr(client)
        assert TOKEN not in repr(client)


def test_no_client_for_a_host_that_is_not_allowed() -> None:
    with pytest.raises(ConfigurationError) as raised:
        credentials(base_url="evil.example", api_token="a b").get_client()
    assert [problem.path for problem in raised.value.problems] == ["block.base_url", "block.api_token"]


def test_an_engine_of_the_store(tmp_path: Path) -> None:
    engine = EventStore(url=SecretStr(f"sqlite:///{tmp_path / 'events.db'}")).get_engine()
    assert engine.dialect.name == "sqlite"
    engine.dispose()


def test_an_empty_store_is_that_of_the_settings_and_another_is_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONEPASSWORD_SOURCE_DATABASE_URL", f"sqlite:///{tmp_path / 'mine.db'}")
    engine = source(store=None).get_engine()
    assert engine.url.database == str(tmp_path / "mine.db")
    engine.dispose()
    own = source(store=EventStore(url=SecretStr(f"sqlite:///{tmp_path / 'own.db'}"))).get_engine()
    assert own.url.database == str(tmp_path / "own.db")
    own.dispose()


def test_the_configuration_needs_no_prefect() -> None:
    code = "import sys, blocks.config.source_file; print('prefect' in sys.modules, 'sqlalchemy' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["False", "False"]
