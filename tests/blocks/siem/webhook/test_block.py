"""The block of a webhook: its address, its secrets, its headers, and the size of a request."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import SecretStr
from receivers.webhook import PATH, SECRET

from blocks.siem.webhook.block import BYTES_MAX, BYTES_MIN, EVENTS_MAX, PARALLEL_MAX, Webhook


def siem(url: str, **members: Any) -> Webhook:
    return Webhook(**{"url": SecretStr(url + PATH), **members})


@pytest.mark.parametrize(
    "text", ["no colon", ": x", "A:", "A: é", "Host: x", "WEBHOOK-ID: x", "Content-Type: text/plain", "A b: x"]
)
def test_headers_that_cannot_be_sent(text: str) -> None:
    problems = list(siem("https://example.org", headers=SecretStr(text)).problems())
    assert [problem.path for problem in problems] == ["block.headers"]


@pytest.mark.parametrize("secret", ["x", SECRET.removeprefix("whsec_"), "whsec_QQ==", "whsec_é", "whsec_" + "QQ" * 90])
def test_secrets_that_are_none(secret: str) -> None:
    problems = list(siem("https://example.org", signing_secret=SecretStr(secret)).problems())
    assert [problem.path for problem in problems] == ["block.signing_secret"]
    assert secret not in str(problems[0]).split() or len(secret) == 1


@pytest.mark.parametrize("url", ["", "ftp://x", "http://hooks.example.org/key", "https://a:b@example.org/key"])
def test_addresses_that_are_none_are_not_shown(url: str) -> None:
    problems = list(Webhook(url=SecretStr(url)).problems())
    assert [(problem.path, "key" in str(problem)) for problem in problems] == [("block.url", False)]


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [("batch_events", 1, EVENTS_MAX), ("batch_bytes", BYTES_MIN, BYTES_MAX), ("parallel", 1, PARALLEL_MAX)],
)
def test_a_size_has_bounds(name: str, least: int, most: int) -> None:
    def paths(number: int) -> list[str]:
        return [problem.path for problem in siem("https://example.org", **{name: number}).problems()]

    assert paths(least) == paths(most) == []
    assert paths(least - 1) == paths(most + 1) == [f"block.{name}"]


@pytest.mark.parametrize("name", ["url", "signing_secret", "headers"])
def test_a_masked_secret_is_reported_once(name: str) -> None:
    block = Webhook(**{"url": SecretStr("https://example.org"), name: SecretStr("********")})
    assert list(block.problems()) == []
    assert [problem.path for problem in block._secret_problems()] == [f"block.{name}"]


def test_a_block_without_secrets_is_valid_and_its_sender_has_its_limits() -> None:
    sender = siem("https://example.org", batch_events=7, batch_bytes=20_000, parallel=3).get_sender()
    assert (sender.limits.events, sender.limits.bytes, sender.limits.parallel) == (7, 20_000, 3)
    sender.close()
