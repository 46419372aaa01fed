"""The block of Elasticsearch and OpenSearch: its problems, and how its sender signs in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr
from receivers.elasticsearch import Elasticsearch as Cluster
from receivers.server import Receiver, receiving
from support import siems as support

from blocks.errors import ThirdPartyConfigError
from blocks.events_api.models import Api
from blocks.problems import ConfigurationError
from blocks.siem.elasticsearch.block import INDEX, Elasticsearch
from blocks.siem.elasticsearch.sender import ElasticsearchSender, basic_header, indices

if TYPE_CHECKING:
    from collections.abc import Iterator


KEY = "VnVhQ2ZHY0JDZGJrUW0tZTVhT3g6dWkybHAyYXhUTm1zeWFrdzl0dk5udw=="


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving(Cluster()) as running:
        yield running


def send(sender: ElasticsearchSender) -> None:
    sender.send(support.batch(sender, support.events(Api.SIGN_IN)[:10], support.stream(Api.SIGN_IN), "ecs"))


def test_a_user_signs_in_with_a_password(receiver: Receiver) -> None:
    sender = Elasticsearch(url=receiver.url, username="ann", password=SecretStr("hunter2")).get_sender()
    send(sender)
    sender.close()
    assert receiver.requests[0].headers["authorization"] == basic_header("ann", "hunter2")


def test_a_key_is_sent_with_each_request(receiver: Receiver) -> None:
    sender = Elasticsearch(url=receiver.url, api_key=SecretStr(KEY)).get_sender()
    send(sender)
    sender.close()
    assert receiver.requests[0].headers["authorization"] == f"ApiKey {KEY}"


def test_neither_a_short_password_nor_its_header_is_shown(receiver: Receiver) -> None:
    sender = Elasticsearch(url=receiver.url, username="ann", password=SecretStr("hunter2")).get_sender()
    header = basic_header("ann", "hunter2")
    receiver.behave("answer", status=401, body=f"no: hunter2 / {header} /")
    with pytest.raises(ThirdPartyConfigError, match=r"401: no: \*\*\* / Basic \*\*\* /"):
        send(sender)
    sender.close()


def test_a_cluster_on_this_machine_may_have_no_security(receiver: Receiver) -> None:
    sender = Elasticsearch(url=receiver.url).get_sender()
    send(sender)
    sender.close()
    assert "authorization" not in receiver.requests[0].headers


@pytest.mark.parametrize(
    ("members", "paths"),
    [
        ({}, {"block.api_key"}),
        ({"username": "ann"}, {"block.password"}),
        ({"password": SecretStr("x")}, {"block.username"}),
        ({"username": "a:b", "password": SecretStr("x")}, {"block.username"}),
        ({"api_key": SecretStr("two words")}, {"block.api_key"}),
        ({"api_key": SecretStr(KEY), "index": "logs-{dataset}-{name}"}, {"block.index"}),
        ({"api_key": SecretStr(KEY), "index": "_logs"}, {"block.index"}),
        ({"api_key": SecretStr(KEY), "index": "a,b"}, {"block.index"}),
        ({"api_key": SecretStr(KEY), "index": ""}, {"block.index"}),
        ({"api_key": SecretStr(KEY), "index": "a" * 256}, {"block.index"}),
        ({"api_key": SecretStr(KEY), "url": "https://[::1"}, {"block.url"}),
        ({"url": "https://[::1"}, {"block.url", "block.api_key"}),
    ],
)
def test_each_problem_is_reported_with_its_path(members: dict[str, Any], paths: set[str]) -> None:
    with pytest.raises(ConfigurationError) as raised:
        Elasticsearch(**{"url": "https://es.example.org", **members}).ensure_valid()
    assert {problem.path for problem in raised.value.problems} == paths


@pytest.mark.parametrize("index", ["logs-{name}", "logs-{", "logs-}", "{dataset}}"])
def test_an_unknown_placeholder_is_named_as_one(index: str) -> None:
    with pytest.raises(ConfigurationError, match=r"unknown placeholder; expected \{dataset\} or \{api\}"):
        Elasticsearch(url="https://es.example.org", api_key=SecretStr(KEY), index=index).ensure_valid()


@pytest.mark.parametrize("index", ["events", "1password-{api}", ".hidden-{dataset}", INDEX])
def test_an_index_is_named_for_each_api_or_for_all(index: str) -> None:
    assert Elasticsearch(url="https://es.example.org", api_key=SecretStr(KEY), index=index).ensure_valid()
    assert len(set(indices(index).values())) == (3 if "{" in index else 1)


def test_the_default_format_is_ecs() -> None:
    assert Elasticsearch(url="https://es.example.org").event_format == "ecs"


@pytest.mark.parametrize("url", ["http://127.0.0.1:9200", "http://localhost:9200", "http://[::1]:9200"])
def test_only_a_cluster_on_this_machine_needs_no_security(url: str) -> None:
    assert Elasticsearch(url=url).ensure_valid()


@pytest.mark.parametrize("api_key", ["é", "a b", "a\n", " a"])
def test_a_key_has_printable_ascii_characters_only(api_key: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        Elasticsearch(url="https://es.example.org", api_key=SecretStr(api_key)).ensure_valid()
    assert [problem.path for problem in raised.value.problems] == ["block.api_key"]


def test_a_key_and_a_user_are_not_set_together() -> None:
    both = {"api_key": SecretStr(KEY), "username": "ann", "password": SecretStr("x")}
    for without in ("username", "password"):
        chosen = {name: value for name, value in both.items() if name != without}
        problems = list(Elasticsearch(url="https://es.example.org", **chosen).problems())
        assert [str(problem) for problem in problems] == [
            "block.api_key: a key and a user are set; expected one of them."
        ]


@pytest.mark.parametrize(
    ("index", "namespace"),
    [
        (INDEX, "default"),
        ("logs-{dataset}-prod", "prod"),
        ("logs-1password.{dataset}-my-team", "my-team"),
        ("logs-1password", "default"),
        ("metrics-1password.x-prod", "default"),
        ("logs-x-", "default"),
        ("events", "default"),
    ],
)
def test_the_namespace_is_that_of_the_data_stream_and_else_the_default(index: str, namespace: str) -> None:
    block = Elasticsearch(url="https://es.example.org", api_key=SecretStr(KEY), index=index)
    assert {block.data_stream_namespace(api) for api in Api} == {namespace}


@pytest.mark.parametrize(("length", "problems"), [(255, 0), (256, 1)])
def test_the_name_of_an_index_has_at_most_255_bytes(length: int, problems: int) -> None:
    for name in ("a" * length, "é" + "a" * (length - 2)):
        assert (
            len(list(Elasticsearch(url="https://es.example.org", api_key=SecretStr(KEY), index=name).problems()))
            == problems
        )
