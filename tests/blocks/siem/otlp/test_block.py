"""The block of OTLP: its headers, which are secrets, and its problems."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import SecretStr
from receivers.otlp import Otlp as Collector
from receivers.server import Receiver
from support.otlp_logs import members, send

from blocks.errors import ThirdPartyConfigError
from blocks.problems import ConfigurationError
from blocks.siem.otlp.block import Otlp


@pytest.mark.parametrize("text", ["a", "a=", "=b", "a b=c", "a=%0d%0aX: y", "a=é", "a:b=c"])
def test_headers_that_cannot_be_sent_are_a_problem_and_are_not_shown(text: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        Otlp(url="https://otlp.example.org", headers=SecretStr(text)).ensure_valid()
    (problem,) = raised.value.problems
    assert problem.path == "block.headers"
    assert "name=value" in str(problem)


def test_a_changed_header_or_name_is_another_fingerprint() -> None:
    one = Otlp(url="https://otlp.example.org")
    assert len({one.fingerprint(), one.model_copy(update={"service_name": "vault"}).fingerprint()}) == 2
    assert "headers" not in one.public_settings()


def test_a_block_sends_its_headers_and_a_short_one_is_not_shown(receiver: Receiver, collector: Collector) -> None:
    sender = Otlp(url=receiver.url, headers=SecretStr("X-Key=hunter2,Authorization=Bearer%20pa55")).get_sender()
    send(sender)
    assert receiver.requests[0].headers["x-key"] == "hunter2"
    assert members(collector.exports[0].resource_logs[0].resource.attributes)["service.name"] == "1password"
    receiver.behave("answer", status=401, body="no: hunter2 / pa55 /")
    with pytest.raises(ThirdPartyConfigError, match=r"401: no: \*\*\* / \*\*\* /"):
        send(sender)
    sender.close()


@pytest.mark.parametrize(
    ("members", "paths"),
    [
        ({}, []),
        ({"service_name": "vault", "headers": SecretStr("a=b")}, []),
        ({"url": "http://otlp.example.org"}, ["block.url"]),
        ({"service_name": ""}, ["block.service_name"]),
        ({"service_name": " \t"}, ["block.service_name"]),
        (
            {"url": "x", "service_name": "", "headers": SecretStr("a")},
            ["block.url", "block.service_name", "block.headers"],
        ),
    ],
)
def test_each_problem_is_reported_with_its_path(members: dict[str, Any], paths: list[str]) -> None:
    block = Otlp(**{"url": "https://otlp.example.org", **members})
    assert [problem.path for problem in block.problems()] == paths


@pytest.mark.parametrize("compress", [True, False])
def test_requests_are_compressed_unless_that_is_turned_off(
    receiver: Receiver, collector: Collector, compress: bool
) -> None:
    sender = Otlp(url=receiver.url, compress=compress, service_name="vault").get_sender()
    send(sender)
    sender.close()
    assert (receiver.requests[0].headers.get("content-encoding") == "gzip") is compress
    assert members(collector.exports[0].resource_logs[0].resource.attributes)["service.name"] == "vault"
