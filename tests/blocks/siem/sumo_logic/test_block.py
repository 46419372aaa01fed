"""The block of Sumo Logic: its address is a secret, and what it may hold."""

from __future__ import annotations

import json

import pytest
from pydantic import SecretStr
from receivers.sumo_logic import PATH

from blocks.problems import ConfigurationError
from blocks.siem.sumo_logic.block import SumoLogicSiem


def siem(url: str, **members: object) -> SumoLogicSiem:
    return SumoLogicSiem(url=SecretStr(url + PATH), **members)


@pytest.mark.parametrize(
    "url", ["", "https://", "no url", "http://sumo.example.com/r/CODE", "https://sumo.example.com/"]
)
def test_what_is_no_address_of_a_source_is_not_quoted(url: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        SumoLogicSiem(url=SecretStr(url)).ensure_valid()
    assert [problem.path for problem in raised.value.problems] == ["block.url"]
    assert "sumo.example" not in str(raised.value)


def test_a_masked_address_is_reported_once() -> None:
    with pytest.raises(ConfigurationError) as raised:
        SumoLogicSiem(url=SecretStr("********")).ensure_valid()
    assert [problem.path for problem in raised.value.problems] == ["block.url"]


def test_the_form_says_what_is_secret() -> None:
    form = SumoLogicSiem.model_json_schema()
    assert sorted(form["secret_fields"]) == ["hash_key", "url"]
    assert "url" not in json.dumps(siem("https://sumo.example.com").public_settings())


@pytest.mark.parametrize("url", ["https://sumo.example.com/CODE", " https://sumo.example.com/r/v1/http/CODE/ "])
def test_an_address_has_a_code_at_its_end_and_may_have_spaces_around_it(url: str) -> None:
    assert list(SumoLogicSiem(url=SecretStr(url)).problems()) == []


@pytest.mark.parametrize("name", ["source_name", "source_host", "source_category"])
@pytest.mark.parametrize(
    ("text", "good"), [("", True), ("a" * 1024, True), ("a" * 1025, False), ("é", False), ("a\n", False)]
)
def test_a_header_holds_so_many_printable_characters(name: str, text: str, good: bool) -> None:
    paths = [problem.path for problem in siem("https://sumo.example.com", **{name: text}).problems()]
    assert paths == ([] if good else [f"block.{name}"])
