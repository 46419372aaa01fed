"""The block of Splunk: its problems, and the address of the collector."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import SecretStr
from receivers.server import receiving
from receivers.splunk import TOKEN, SplunkHec
from support import siems as support

from blocks.events_api.models import Api
from blocks.problems import ConfigurationError
from blocks.siem.splunk.block import SplunkSiem, collector_url


@pytest.mark.parametrize(
    "url",
    [
        "https://s.example:8088",
        "https://s.example:8088/",
        "https://s.example:8088/services/collector",
        "https://s.example:8088/services/collector/event/1.0",
    ],
)
def test_an_endpoint_may_stand_in_the_address(url: str) -> None:
    assert collector_url(url) == "https://s.example:8088"
    assert collector_url("https://s.example/hec/services/collector/raw") == "https://s.example/hec"


@pytest.mark.parametrize("token", ["", "a b", "é", "a\n"])
def test_an_invalid_token_is_a_problem_and_not_shown(token: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        SplunkSiem(url="https://s.example", token=SecretStr(token)).ensure_valid()
    assert [problem.path for problem in raised.value.problems] == ["block.token"]


def siem(**members: Any) -> SplunkSiem:
    return SplunkSiem(**{"url": "https://s.example:8088", "token": SecretStr("0" * 36), **members})


def paths(block: SplunkSiem) -> list[str]:
    return [problem.path for problem in block.problems()]


def test_a_masked_token_is_reported_once() -> None:
    with pytest.raises(ConfigurationError) as raised:
        siem(token=SecretStr("********")).ensure_valid()
    assert [problem.path for problem in raised.value.problems] == ["block.token"]


def test_an_index_may_be_left_to_splunk() -> None:
    assert paths(siem()) == paths(siem(index="onepassword", indexes={"audit": "a" * 80})) == []


@pytest.mark.parametrize("index", ["A", "_internal", "-a", "a" * 81, "a b", "é", "a\n"])
def test_an_index_has_a_valid_name(index: str) -> None:
    assert paths(siem(index=index)) == ["block.index"]
    assert paths(siem(indexes={"audit": index})) == ["block.indexes.audit"]


def test_an_index_belongs_to_an_api() -> None:
    assert paths(siem(indexes={"audits": "good", "sign-in": "good", "itemUsage": ""})) == [
        "block.indexes",
        "block.indexes.itemUsage",
    ]


def test_all_problems_are_reported_at_once() -> None:
    block = siem(url="http://s.example", token=SecretStr("a b"), index="A", indexes={"x": "a"})
    assert paths(block) == ["block.url", "block.token", "block.index", "block.indexes"]
    with pytest.raises(ConfigurationError):
        block.get_sender()


def test_the_sender_gets_the_settings_and_the_address_without_its_endpoint() -> None:
    with receiving(SplunkHec()) as receiver:
        settings = {"index": "main", "indexes": {"audit": "own"}, "host": "here", "source": "vault"}
        block = siem(url=f"{receiver.url}/services/collector/", token=SecretStr(TOKEN), **settings)
        sender = block.get_sender()
        for api in (Api.SIGN_IN, Api.AUDIT):
            sender.send(support.batch(sender, support.events(api)[:1], support.stream(api)))
        sender.close()
        sent = [json.loads(request.body) for request in receiver.requests if b"sourcetype" in request.body]
    assert [(one["index"], one["host"], one["source"]) for one in sent] == [
        ("main", "here", "vault"),
        ("own", "here", "vault"),
    ]
