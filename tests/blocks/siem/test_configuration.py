"""A file of SIEMs is read as a whole: every problem is reported with its path, and open secrets are named."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from blocks.errors import ThirdPartyConfigError
from blocks.problems import ConfigurationError
from blocks.secret_references.secret_reader import SecretReader
from blocks.siem.configuration import (
    KINDS,
    NAME_MAX,
    SiemConfig,
    block_class,
    build_block,
    config_fields,
    expected_kind,
    holds_siems,
    parse_siems,
    required_secrets,
)
from blocks.siem.splunk.block import SplunkSiem

SPLUNK: dict[str, Any] = {"url": "https://splunk.example.com:8088", "token": "a-token"}


def document(**members: Any) -> dict[str, Any]:
    return {"siem": {"name": "SOC", "type": "splunk", "sources": ["1Pass"], "config": SPLUNK, **members}}


def problems(value: object) -> dict[str, str]:
    with pytest.raises(ConfigurationError) as raised:
        parse_siems(value, secrets=SecretReader())
    return {problem.path: problem.description for problem in raised.value.problems}


def test_a_siem_is_read_with_its_name_kind_sources_and_settings() -> None:
    assert parse_siems(document()) == [SiemConfig("SOC", "splunk", ("1Pass",), SPLUNK)]


def test_a_list_of_siems_is_read_in_its_order() -> None:
    entries = [{**document()["siem"], "name": name} for name in ("b", "a")]
    assert [config.name for config in parse_siems({"api.version": "v1", "siems": entries})] == ["b", "a"]


def test_a_source_that_is_named_twice_counts_once() -> None:
    (config,) = parse_siems(document(sources=["1Pass", "2Pass", "1Pass"]))
    assert config.sources == ("1Pass", "2Pass")


@pytest.mark.parametrize(
    ("value", "expected"),
    [({"siem": {}}, True), ({"siems": []}, True), ({"source": {}}, False), ([], False), (None, False)],
)
def test_a_file_holds_siems_by_its_first_key(value: object, expected: bool) -> None:
    assert holds_siems(value) is expected


@pytest.mark.parametrize(
    ("members", "path", "description"),
    [
        ({"name": None}, "$.siem.name", "it is missing"),
        ({"name": " SOC"}, "$.siem.name", "it cannot be a name"),
        ({"name": "x" * (NAME_MAX + 1)}, "$.siem.name", "it cannot be a name"),
        ({"sources": None}, "$.siem.sources", "it is missing"),
        ({"sources": []}, "$.siem.sources", "it is not a list of names"),
        ({"sources": ["1Pass", 2]}, "$.siem.sources", "it is not a list of names"),
        ({"type": None}, "$.siem.type", "it is missing"),
        ({"type": 5}, "$.siem.type", "it is a number"),
        ({"type": "splunc"}, "$.siem.type", 'there is no kind of SIEM called "splunc"'),
        ({"config": []}, "$.siem.config", "it is a list"),
        ({"config": {**SPLUNK, "url": "http://splunk.example.com"}}, "$.siem.config.url", None),
        ({"config": {**SPLUNK, "token": {"env": 5}}}, "$.siem.config.token", "it is not a secret"),
    ],
)
def test_a_wrong_member_is_reported_at_its_path(members: dict[str, Any], path: str, description: str | None) -> None:
    found = problems(document(**members))
    assert path in found
    assert description is None or found[path] == description


@pytest.mark.parametrize(
    ("value", "path"),
    [([], "$"), ({"siems": []}, "$.siems"), ({"siem": {}, "siems": []}, "$"), ({"siems": [5]}, "$.siems[0]")],
)
def test_a_file_of_another_form_is_reported(value: object, path: str) -> None:
    assert path in problems(value)


def test_all_problems_are_reported_at_once() -> None:
    assert set(problems(document(name="", sources=[], type="x", more=1))) == {
        "$.siem.name",
        "$.siem.sources",
        "$.siem.type",
        "$.siem.more",
    }


def test_two_siems_cannot_have_one_name() -> None:
    entry = document()["siem"]
    assert problems({"siems": [entry, entry]}) == {"$.siems": 'the name "SOC" is used more than once'}


def test_a_secret_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPLUNK_TOKEN", "from-the-environment")
    (config,) = parse_siems(document(config={**SPLUNK, "token": {"env": "SPLUNK_TOKEN"}}), secrets=SecretReader())
    assert config.members["token"] == "from-the-environment"


def test_an_unset_variable_is_reported_and_no_other_secret_stands_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPLUNK_TOKEN", raising=False)
    found = problems(document(config={**SPLUNK, "token": {"env": "SPLUNK_TOKEN"}}))
    assert found == {"$.siem.config.token": 'the environment variable "SPLUNK_TOKEN" is not set'}


@pytest.mark.parametrize("config", [{"url": SPLUNK["url"]}, {**SPLUNK, "token": None}, {**SPLUNK, "token": ""}])
def test_a_secret_that_the_file_leaves_open_is_named_and_no_problem(config: dict[str, Any]) -> None:
    (parsed,) = parse_siems(document(config=config))
    assert parsed.missing_secrets == ("token",)
    assert "token" not in parsed.members


def test_an_optional_secret_is_requested_only_if_it_is_null() -> None:
    assert not parse_siems(document())[0].missing_secrets
    (config,) = parse_siems(document(config={**SPLUNK, "hash_key": None}))
    assert config.missing_secrets == ("hash_key",)


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_has_a_block_and_knows_its_secrets(kind: str) -> None:
    assert block_class(kind).kind == kind
    fields = config_fields(kind)
    assert fields["hash_key"]
    assert not fields["event_format"]
    assert all(fields[name] for name in required_secrets(kind))


def test_an_unknown_kind_names_the_most_similar_one() -> None:
    assert expected_kind("splunc") == '"splunk"'
    assert expected_kind(5) == f"one of {', '.join(KINDS)}"
    with pytest.raises(ThirdPartyConfigError, match='Use "splunk"'):
        block_class("splunc")


def test_a_block_is_built_from_a_configuration() -> None:
    block = build_block(SiemConfig("SOC", "splunk", ("1Pass",), SPLUNK))
    assert isinstance(block, SplunkSiem)
    assert block.token.get_secret_value() == "a-token"


def test_the_module_imports_neither_prefect_nor_pydantic() -> None:
    code = "import sys, blocks.siem.configuration; sys.exit(bool({'prefect', 'pydantic'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
