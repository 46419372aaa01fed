"""The block of Microsoft Sentinel: its addresses, its ids, and the secret, which is easily mistaken for its id."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import SecretStr
from receivers.sentinel import CLIENT, RULE, SECRET, STREAM, TENANT

from blocks.problems import ConfigurationError
from blocks.siem.sentinel.block import Sentinel

GUID = "00000000-0000-0000-0000-00000000000a"


def siem(**members: Any) -> Sentinel:
    given = {
        "endpoint": "https://x.ingest.monitor.azure.com",
        "rule_id": RULE,
        "stream": STREAM,
        "tenant_id": TENANT,
        "client_id": CLIENT,
        "client_secret": SecretStr(SECRET),
    }
    return Sentinel(**{**given, **members})


def paths(**members: Any) -> list[str]:
    return [problem.path for problem in siem(**members).problems()]


def test_a_complete_block_has_no_problem_and_opens_a_sender() -> None:
    assert paths() == []
    siem().get_sender().close()


@pytest.mark.parametrize("name", ["endpoint", "authority"])
def test_both_addresses_are_https(name: str) -> None:
    assert paths(**{name: "http://x.example"}) == paths(**{name: "https://x.example?sig=KEY"}) == [f"block.{name}"]
    assert paths(**{name: "http://127.0.0.1:9"}) == []


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("rule_id", "dcr-" + "0f" * 16, ["", "dcr-" + "0F" * 16, "dcr-" + "0" * 31, "dcr-" + "0" * 33, "x" + RULE]),
        ("stream", "Microsoft-" + "a" * 100, ["", "Custom-", "Other-x", "Custom-é", "Custom-" + "a" * 101]),
        ("tenant_id", "a" * 253, ["", ".example.org", "a" * 254, "a/b"]),
        ("client_id", GUID.upper(), ["", GUID.replace("-", ""), GUID + "0", "g" + GUID[1:]]),
        ("scope", "https://monitor.azure.us//.default", ["", "http://monitor.azure.com/.default", "https://x/default"]),
    ],
)
def test_an_id_has_its_form(name: str, good: str, bad: list[str]) -> None:
    assert paths(**{name: good}) == []
    for value in bad:
        assert paths(**{name: value}) == [f"block.{name}"], value


@pytest.mark.parametrize(("secret", "description"), [("", "it is empty"), (GUID, "it is the id of a client secret")])
def test_a_secret_is_neither_empty_nor_an_id(secret: str, description: str) -> None:
    (problem,) = siem(client_secret=SecretStr(secret)).problems()
    assert (problem.path, problem.description) == ("block.client_secret", description)


def test_a_masked_secret_is_reported_once() -> None:
    with pytest.raises(ConfigurationError) as raised:
        siem(client_secret=SecretStr("********")).ensure_valid()
    assert [problem.path for problem in raised.value.problems] == ["block.client_secret"]


def test_all_problems_are_reported_at_once() -> None:
    block = siem(endpoint="x", rule_id="x", tenant_id="", client_id="", client_secret=SecretStr(""), scope="")
    assert {problem.path.removeprefix("block.") for problem in block.problems()} == {
        *("endpoint", "rule_id", "tenant_id", "client_id", "client_secret", "scope")
    }
