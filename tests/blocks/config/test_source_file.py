from __future__ import annotations

import copy
import json
import os
import pickle
import stat
import threading
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import jwt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.paths import FIXTURES

from blocks import clock
from blocks.config.source_file import (
    ConfigurationError,
    Problem,
    Secret,
    SourceConfig,
    block_name,
    deployment_name,
    parse_sources,
    read_file,
    to_json,
    with_token,
)
from blocks.errors import ThirdPartyConfigError
from blocks.events_api.hosts import HOSTS
from blocks.events_api.models import Api
from blocks.source import OnePasswordSource

NOW = 1_795_000_000  # 2026-11-18T11:06:40Z
SECOND = 10**9
HOUR = 3600 * SECOND
DAY = 24 * HOUR
NONE: frozenset[str] = frozenset()


class FixedClock:
    def now_ns(self) -> int:
        return NOW * SECOND

    def engine_delay(self, seconds: float) -> float:
        return seconds


@pytest.fixture(autouse=True)
def _fixed_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "clock", FixedClock())


def token(**claims: Any) -> str:
    return jwt.encode({"jti": "made up", **claims}, "k" * 32, algorithm="HS256")


TOKEN = token()
EXPORT: dict[str, Any] = {
    "api.version": "v1",
    "source": {
        "sourceType": "Universal",
        "schemaRef": {"type": "1Password"},
        "config": {
            "name": "1Pass",
            "description": None,
            "category": "sec/1password",
            "fields": {"_siemForward": True, "team": "blue"},
            "base_url": "events.1password.com",
            "api_token": TOKEN,
            "supported_apis": ["itemUsage", "sign-in"],
        },
    },
}


def config_of(**members: Any) -> dict[str, Any]:
    """The export with other members in its config; `...` takes one out."""
    document = copy.deepcopy(EXPORT)
    config = {**document["source"]["config"], **members}
    document["source"]["config"] = {key: value for key, value in config.items() if value is not ...}
    return document


def several(*configs: dict[str, Any]) -> dict[str, Any]:
    return {"api.version": "v1", "sources": [config_of(**config)["source"] for config in configs]}


def parse(document: Any, **options: Any) -> list[SourceConfig]:
    data = document if isinstance(document, bytes) else json.dumps(document).encode()
    return parse_sources(data, **{"allowed_hosts": NONE, **options})


def one(**members: Any) -> SourceConfig:
    (config,) = parse(config_of(**members))
    return config


def problems_of(document: Any, **options: Any) -> list[Problem]:
    with pytest.raises(ConfigurationError) as raised:
        parse(document, **options)
    return list(raised.value.problems)


def the_problem(document: Any, **options: Any) -> Problem:
    (problem,) = problems_of(document, **options)
    return problem


# The form


def test_an_exported_file_works_unchanged() -> None:
    (config,) = parse(EXPORT)
    assert config == SourceConfig(
        name="1Pass",
        description=None,
        category="sec/1password",
        fields={"_siemForward": True, "team": "blue"},
        base_url="https://events.1password.com",
        api_token=Secret(TOKEN),
        supported_apis=(Api.ITEM_USAGE, Api.SIGN_IN),
        api_version="v2",
        collect_from=None,
    )
    assert config.warnings == ()


READ_BACK = (FIXTURES / "sumo_read_back.json").read_bytes()


def test_what_sumo_logic_gives_back_is_applied_and_given_back_as_it_was_read() -> None:
    (config,) = parse(READ_BACK, token=TOKEN)
    assert config.supported_apis == (Api.ITEM_USAGE, Api.SIGN_IN, Api.AUDIT)
    assert config.filters is not None
    assert [rule["name"] for rule in config.filters] == ["mask mail", "no fills"]
    assert config.warnings == ()
    given_back = json.loads(to_json(config))["source"]
    before = json.loads(READ_BACK)["source"]
    assert {name: given_back[name] for name in before if name != "config"} == {
        name: value for name, value in before.items() if name != "config"
    }
    for name, value in before["config"].items():
        assert given_back["config"][name] == value
    filters = json.dumps(given_back["filters"], separators=(",", ":"), ensure_ascii=False)
    assert filters.encode() in READ_BACK
    assert parse(to_json(config).encode(), token=TOKEN) == [config]


def test_what_sumo_logic_gives_back_stays_in_the_block() -> None:
    (config,) = parse(READ_BACK, token=TOKEN)
    block = OnePasswordSource.from_config(config)
    assert block.validated().config() == config
    assert to_json(block.config()) == to_json(config)
    assert block.processing_rules() == {"filters": list(config.filters or ())}
    assert with_token(config, token(jti="2"), allowed_hosts=NONE).filters == config.filters
    block.supported_apis = ["audit"]
    assert json.loads(to_json(block.config()))["source"]["config"]["supported_apis"] == ["audit"]
    block.filters = [{"name": "x", "filterType": "Mask", "regexp": "("}]
    with pytest.raises(ConfigurationError, match=r"block\.filters\[0\]\.regexp"):
        block.validated()


@pytest.mark.parametrize("filters", [[], None])
def test_what_an_export_holds_beside_the_configuration_changes_nothing_else(filters: object) -> None:
    document = copy.deepcopy(EXPORT)
    document["source"] |= {
        "id": 7,
        "name": "1Pass",
        "state": {"state": "Collecting"},
        "alive": True,
        "filters": filters,
    }
    document["source"]["schemaRef"]["version"] = "1.0.0"
    (config,) = parse(document)
    assert replace(config, filters=None, hosted={}) == one()
    given_back = json.loads(to_json(config, mask=False))
    assert parse(given_back) == [config]
    given_back["source"].setdefault("filters", None)
    assert given_back["source"] | {"config": None} == document["source"] | {"config": None}


def test_processing_rules_are_checked_with_the_rest_and_their_hashes_have_an_algorithm() -> None:
    document = copy.deepcopy(EXPORT)
    document["source"] |= {
        "filters": [{"name": "a", "filterType": "Hash", "regexp": "(?=b)"}],
        "hashAlgorithm": "SHA-1",
    }
    document["source"]["config"]["supported_apis"] = ["audits"]
    assert [problem.path for problem in problems_of(document)] == [
        "$.source.filters[0].regexp",
        "$.source.hashAlgorithm",
        "$.source.config.supported_apis[0]",
    ]
    document = copy.deepcopy(EXPORT)
    document["source"] |= {"filters": [{"name": "a", "filterType": "Hash", "regexp": "b"}], "hashAlgorithm": "SHA-256"}
    (config,) = parse(document)
    assert "no capture group" in config.warnings[0]
    assert OnePasswordSource.from_config(config).processing_rules() == {
        "filters": document["source"]["filters"],
        "hashAlgorithm": "SHA-256",
    }


@pytest.mark.parametrize(
    ("api", "names"),
    [
        (Api.SIGN_IN, ["sign-in", "signinattempts", "signInAttempts", "sign-in-attempts"]),
        (Api.ITEM_USAGE, ["itemUsage", "itemusages", "itemUsages", "item-usages"]),
        (Api.AUDIT, ["audit", "auditevents", "auditEvents", "audit-events"]),
    ],
)
def test_spellings_of_an_api(api: Api, names: list[str]) -> None:
    for name in names:
        config = one(supported_apis=[name])
        assert config.supported_apis == (api,)
        assert json.loads(to_json(config))["source"]["config"]["supported_apis"] == [name]
    for other in names[1:]:
        (problem,) = problems_of(config_of(supported_apis=[names[0], other]))
        assert "there twice" in problem.description


def test_a_list_of_sources() -> None:
    configs = parse(several({}, {"name": "2Pass", "supported_apis": ["audit"], "api_token": token(jti="2")}))
    assert [config.name for config in configs] == ["1Pass", "2Pass"]
    assert configs[1].supported_apis == (Api.AUDIT,)


def test_what_is_optional_may_be_left_out() -> None:
    config = one(description=..., category=..., fields=...)
    assert (config.description, config.category, config.fields) == (None, None, {})
    assert one(description="", category="", fields=None) == config


def test_what_is_ours_beyond_the_export() -> None:
    config = one(api_version="v1", collect_from="7d")
    assert (config.api_version, config.collect_from) == ("v1", "7d")


def test_the_byte_order_mark_of_an_editor_does_no_harm() -> None:
    assert parse(b"\xef\xbb\xbf" + json.dumps(EXPORT).encode()) == parse(EXPORT)


# Every problem has its place, what is wrong, and what would be right


@pytest.mark.parametrize(
    ("data", "description"),
    [
        (b"", "line 1, column 1"),
        (b'{"source": 1,\n "sources" 2}', "line 2, column 12"),
        (b'{"source": "\n"}', "line 1, column 13"),
        (b"{'source': 1}", "line 1, column 2"),
        (b'{"a": 1} x', "line 1, column 10"),
        (b'{"a": NaN}', "NaN is no JSON value"),
        (b'{"a": -Infinity}', "-Infinity is no JSON value"),
        (b'{"a": 1e999}', "too large"),
        (b'{"a": ' + b"1" * 5000 + b"}", "more than 300 digits"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a": "\xff"}', "not UTF-8: the byte 0xff at offset 7"),
        (b'\xef\xbb\xbf{"a": "\xff"}', "not UTF-8: the byte 0xff at offset 10"),
        (json.dumps(EXPORT).encode("utf-16"), "UTF-16"),
        (json.dumps(EXPORT).encode("utf-32"), "UTF-16 or UTF-32"),
    ],
)
def test_what_is_no_json(data: bytes, description: str) -> None:
    problem = the_problem(data)
    assert problem.path == "$"
    assert description in problem.description


@pytest.mark.parametrize(
    ("document", "path", "description", "expected"),
    [
        ([], "$", "a list", '"source"'),
        (None, "$", "null", '"source"'),
        ({}, "$", "there is no source", "one of the two"),
        ({"source": {}, "sources": []}, "$", "both", "one of the two"),
        (EXPORT["source"], "$", "without its wrapper", '{"api.version": "v1", "source": {…}}'),
        (EXPORT["source"]["config"], "$", "without its wrapper", '"source"'),
        ({"sources": []}, "$.sources", "the list is empty", "a list of sources"),
        ({"sources": {}}, "$.sources", "an object", "a list of sources"),
        ({"sources": [EXPORT["source"], 3]}, "$.sources[1]", "a number", "an object"),
        ({"source": "x"}, "$.source", "a text", "an object"),
        ({**EXPORT, "api.version": "v2"}, '$["api.version"]', "not known", '"v1"'),
        ({**EXPORT, "Sources": []}, "$.Sources", "not known", '"sources"'),
    ],
)
def test_the_wrapper(document: Any, path: str, description: str, expected: str) -> None:
    problem = the_problem(document)
    assert problem.path == path
    assert description in problem.description
    assert expected in problem.expected


@pytest.mark.parametrize(
    ("members", "path", "description", "expected"),
    [
        ({"sourceType": "HTTP"}, "$.source.sourceType", 'it is "HTTP"', '"Universal"'),
        ({"sourceType": None}, "$.source.sourceType", "missing", '"Universal"'),
        ({"schemaRef": {"type": "Okta"}}, "$.source.schemaRef.type", 'it is "Okta"', '"1Password"'),
        ({"schemaRef": {}}, "$.source.schemaRef.type", "missing", '"1Password"'),
        ({"schemaRef": "1Password"}, "$.source.schemaRef", "a text", "an object"),
        ({"schemaRef": {"type": "1Password", "Type": 1}}, "$.source.schemaRef.Type", "not known", '"type"'),
        ({"config": None}, "$.source.config", "missing", "an object"),
        ({"config": []}, "$.source.config", "a list", "an object"),
        ({"configs": {}}, "$.source.configs", "not known", '"config"'),
        ({"zzzzzzzz": {}}, "$.source.zzzzzzzz", "not known", "one of sourceType, schemaRef, config"),
    ],
)
def test_the_source(members: dict[str, Any], path: str, description: str, expected: str) -> None:
    problem = the_problem({**EXPORT, "source": {**EXPORT["source"], **members}})
    assert problem.path == path
    assert description in problem.description
    assert expected in problem.expected


@pytest.mark.parametrize(
    ("members", "key", "description", "expected"),
    [
        ({"name": ...}, "name", "missing", "1 to 128 characters"),
        ({"name": ""}, "name", "empty", "1 to 128 characters"),
        ({"name": "  "}, "name", "empty", "1 to 128 characters"),
        ({"name": 7}, "name", "a number", "a text"),
        ({"name": " a "}, "name", "white space around it", '"a"'),
        ({"name": "n" * 129}, "name", "129 characters", "1 to 128 characters"),
        ({"name": "a\nb"}, "name", "U+000A", "one line"),
        ({"name": "a\ud800"}, "name", "U+D800", "one line"),
        ({"name": "a\u202eb"}, "name", "U+202E", "one line"),
        ({"description": []}, "description", "a list", "a text"),
        ({"description": "a\0"}, "description", "cannot be stored", "plain text"),
        ({"category": {}}, "category", "an object", "a text"),
        ({"category": "a\r\nX-Sumo: b"}, "category", "U+000D", "one line"),
        ({"fields": []}, "fields", "a list", "an object"),
        ({"fields": {"a": None}}, "fields.a", "null", "a text, a number, true or false"),
        ({"fields": {"a b": [1]}}, 'fields["a b"]', "a list", "a text, a number, true or false"),
        ({"fields": {"a": "b\n"}}, "fields.a", "U+000A", "one line"),
        ({"fields": {"": "b"}}, 'fields[""]', "cannot be used", "one line"),
        ({"fields": {"_siemForward": "true"}}, "fields._siemForward", "a text", "true or false"),
        ({"fields": {"_siemForward": 1}}, "fields._siemForward", "a number", "true or false"),
        ({"base_url": ...}, "base_url", "empty", "events.1password.com"),
        ({"base_url": None}, "base_url", "empty", "events.1password.com"),
        ({"base_url": 5}, "base_url", "a number", "a text"),
        ({"base_url": "my.1password.eu"}, "base_url", "not one of 1Password's", "events.1password.eu"),
        ({"base_url": "http://events.1password.eu"}, "base_url", "in the clear", "https://events.1password.eu"),
        ({"api_token": 5}, "api_token", "a number", "a text"),
        ({"api_token": f" {TOKEN}"}, "api_token", "white space around it", "without it"),
        ({"api_token": f"{TOKEN}\n"}, "api_token", "white space around it", "without it"),
        ({"api_token": f"{TOKEN[:9]} {TOKEN[9:]}"}, "api_token", "white space in it", "in one piece"),
        ({"api_token": f"Bearer {TOKEN}"}, "api_token", "the word Bearer", "the token alone"),
        ({"api_token": f"{TOKEN[:9]}…"}, "api_token", "no token has", "as 1Password showed it"),
        ({"api_token": f"{TOKEN[:9]}\x7f"}, "api_token", "no token has", "as 1Password showed it"),
        ({"api_token": "x" * 9000}, "api_token", "9000 characters", "as 1Password showed it"),
        ({"supported_apis": ...}, "supported_apis", "missing", "sign-in, itemUsage, audit"),
        ({"supported_apis": []}, "supported_apis", "the list is empty", "sign-in, itemUsage, audit"),
        ({"supported_apis": "audit"}, "supported_apis", "a text", "a list of one or more"),
        ({"supported_apis": ["audits"]}, "supported_apis[0]", '"audits" is not known', '"audit"'),
        ({"supported_apis": ["audit", "signin"]}, "supported_apis[1]", "not known", '"sign-in"'),
        ({"supported_apis": ["itemsusage"]}, "supported_apis[0]", "not known", '"itemUsage"'),
        ({"supported_apis": ["auditevent"]}, "supported_apis[0]", "not known", '"audit"'),
        ({"supported_apis": ["zzzz"]}, "supported_apis[0]", "not known", "one of sign-in, itemUsage, audit"),
        ({"supported_apis": [None]}, "supported_apis[0]", "null", "one of sign-in, itemUsage, audit"),
        ({"supported_apis": ["audit", "audit"]}, "supported_apis[1]", "there twice", "once"),
        ({"api_version": "v3"}, "api_version", '"v3"', '"v2" or "v1"'),
        ({"api_version": 2}, "api_version", "a number", '"v2" or "v1"'),
        ({"api_version": []}, "api_version", "a list", '"v2" or "v1"'),
        ({"collect_from": 24}, "collect_from", "a number", "a text"),
        ({"collect_from": "24 hours"}, "collect_from", "neither a duration nor a time", "90m, 24h, 7d or 2w"),
        ({"collect_from": "121d"}, "collect_from", "more than 120 days", "at most 120 days"),
        ({"collect_from": "999999999w"}, "collect_from", "more than 120 days", "at most 120 days"),
        ({"collect_from": "٣h"}, "collect_from", "neither a duration nor a time", "24h"),
        ({"collect_from": "2026-11-19"}, "collect_from", "in the future", "a date"),
        ({"collect_from": "2026-02-30"}, "collect_from", "no such date", "a date"),
        ({"collect_from": "2026-11-01T00:00:00"}, "collect_from", "no zone", "2026-11-01T00:00:00Z"),
        ({"collect_from": "2026-11-01T24:00:00Z"}, "collect_from", "no such date", "a time"),
        ({"apiToken": "x"}, "apiToken", "not known", '"api_token"'),
        ({"supportedAPIs": []}, "supportedAPIs", "not known", '"supported_apis"'),
        ({"polling": 5}, "polling", "not known", "one of name"),
    ],
)
def test_a_member_of_config(members: dict[str, Any], key: str, description: str, expected: str) -> None:
    problem = the_problem(config_of(**members))
    assert problem.path == f"$.source.config.{key}"
    assert description in problem.description
    assert expected in problem.expected


def test_all_faults_of_a_file_come_at_once() -> None:
    document = several(
        {"name": "", "base_url": "evil.example", "api_token": "a b", "supported_apis": ["x"], "colour": "red"},
        {"api_version": "v9", "collect_from": "soon"},
    )
    document["sources"][1]["sourceType"] = "HTTP"
    assert [problem.path for problem in problems_of(document)] == [
        "$.sources[0].config.colour",
        "$.sources[0].config.api_token",
        "$.sources[0].config.name",
        "$.sources[0].config.base_url",
        "$.sources[0].config.supported_apis[0]",
        "$.sources[1].sourceType",
        "$.sources[1].config.api_version",
        "$.sources[1].config.collect_from",
    ]


def test_a_name_twice_in_one_file_even_beside_other_faults() -> None:
    problems = problems_of(several({}, {"name": "2Pass"}, {"supported_apis": []}))
    assert [problem.path for problem in problems] == ["$.sources[2].config.supported_apis", "$.sources[2].config.name"]
    assert problems[1].description == 'the name "1Pass" is used before, at $.sources[0].config.name'


def test_a_key_twice_in_one_object() -> None:
    text = json.dumps(EXPORT).replace('"name": "1Pass"', '"name": "1Pass", "name": "2Pass"')
    problem = the_problem(text.encode())
    assert (problem.path, problem.description) == ("$.source.config.name", "the key stands there more than once")


def test_the_text_of_the_error_is_one_line_for_a_fault_and_a_list_for_more() -> None:
    with pytest.raises(ThirdPartyConfigError) as raised:
        parse(config_of(api_version="v9"))
    assert str(raised.value) == '$.source.config.api_version: it is "v9"; expected "v2" or "v1".'
    with pytest.raises(ThirdPartyConfigError) as raised:
        parse(config_of(api_version="v9", name=""))
    assert str(raised.value).splitlines()[0] == "The configuration has 2 problems:"
    assert len(str(raised.value).splitlines()) == 3


def test_the_error_survives_prefects_pickle() -> None:
    with pytest.raises(ConfigurationError) as raised:
        parse(config_of(api_version="v9"))
    again = pickle.loads(pickle.dumps(raised.value))  # noqa: S301 - our own bytes
    assert (again.problems, str(again), again.name) == (
        raised.value.problems,
        str(raised.value),
        "ThirdPartyConfigError",
    )


# The token, and the host that it names


@pytest.mark.parametrize("absent", [..., None, "", "********", "*", " ** "])
def test_a_masked_token_counts_as_absent(absent: Any) -> None:
    assert one(api_token=absent).api_token is None


def test_the_token_of_the_environment_stands_in_for_a_masked_one() -> None:
    (config,) = parse(config_of(api_token="********"), token=TOKEN)
    assert config.api_token == Secret(TOKEN)


def test_the_token_of_the_file_comes_before_that_of_the_environment() -> None:
    (config,) = parse(EXPORT, token=token(jti="other"))
    assert config.api_token == Secret(TOKEN)


def test_a_fault_in_the_token_of_the_environment_names_the_variable_once() -> None:
    problem = the_problem(several({"api_token": None}, {"api_token": None, "name": "2Pass"}), token="a b")
    assert problem.path == "ONEPASSWORD_SOURCE_API_TOKEN"


def test_a_masked_token_of_the_environment_is_none() -> None:
    assert parse(config_of(api_token=None), token="****")[0].api_token is None


def test_the_token_names_the_host_where_the_file_does_not() -> None:
    assert one(base_url=..., api_token=token(aud=["events.1password.eu"])).base_url == "https://events.1password.eu"


def test_the_host_that_a_token_names_must_be_allowed_too() -> None:
    document = config_of(base_url=..., api_token=token(aud=["events.example.com"]))
    assert the_problem(document).path == "$.source.config.base_url"
    assert parse(document, allowed_hosts=frozenset({"events.example.com"}))[0].base_url == "https://events.example.com"


def test_an_old_token_names_no_host() -> None:
    document = config_of(base_url=..., api_token=token(aud=["com.1password.streamingservice"]))
    assert the_problem(document).description == "the base URL is empty"


def test_an_explicit_base_url_wins_and_it_says_so() -> None:
    config = one(api_token=token(aud=["events.1password.eu"]))
    assert config.base_url == "https://events.1password.com"
    assert "made for events.1password.eu" in config.warnings[0]


def test_a_token_that_is_still_to_come_may_name_the_host() -> None:
    config = one(base_url=..., api_token=None)
    assert config.base_url == ""
    asked = with_token(config, token(aud=["events.1password.ca"]), allowed_hosts=NONE)
    assert asked.base_url == "https://events.1password.ca"
    with pytest.raises(ConfigurationError, match="the base URL is empty"):
        with_token(config, TOKEN, allowed_hosts=NONE)


@pytest.mark.parametrize("asked", ["", "***", "a b"])
def test_what_was_asked_for_is_checked_as_well(asked: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        with_token(one(api_token=None), asked, allowed_hosts=NONE)
    assert raised.value.problems[0].path == "$.api_token"


def test_with_a_token_nothing_else_changes() -> None:
    config = one(api_token=None, api_version="v1", collect_from="2w", description="d")
    assert with_token(config, TOKEN, allowed_hosts=NONE) == replace(config, api_token=Secret(TOKEN))


@pytest.mark.parametrize(
    ("claims", "warning"),
    [
        ({"exp": NOW - 1}, "has expired"),
        ({"exp": NOW + 3 * 86_400 - 60}, "expires within 3 days"),
        ({"1password.com/fts": ["signinattempts", "auditevents"]}, "scopes itemusages that"),
    ],
)
def test_what_the_token_says_of_itself_is_told(claims: dict[str, Any], warning: str) -> None:
    assert any(warning in text for text in one(api_token=token(**claims)).warnings)


@pytest.mark.parametrize(
    "claims", [{"exp": NOW + 90 * 86_400}, {"1password.com/fts": ["signinattempts", "itemusages"]}]
)
def test_a_token_in_order_warns_of_nothing(claims: dict[str, Any]) -> None:
    assert one(api_token=token(**claims)).warnings == ()


def test_a_token_that_was_cut_off_is_told() -> None:
    assert "cut off" in one(api_token=TOKEN.rpartition(".")[0]).warnings[0]


def test_two_sources_with_one_token_are_told() -> None:
    first, second = parse(several({}, {"name": "2Pass"}))
    assert first.warnings == ()
    assert 'the token of "1Pass"' in second.warnings[0]


# Nothing shows a token


def test_nothing_shows_the_token() -> None:
    config = one()
    shown = [repr(config), str(config), f"{config.api_token}", repr(asdict(config)), repr([config.api_token])]
    assert not [text for text in shown if TOKEN in text]
    assert TOKEN not in to_json(config)
    assert TOKEN.encode() not in pickle.dumps(config)
    assert pickle.loads(pickle.dumps(config)).api_token == Secret("********")  # noqa: S301 - our own bytes


def test_copies_keep_the_token() -> None:
    assert copy.deepcopy(one()).api_token == copy.copy(one()).api_token == Secret(TOKEN)


@pytest.mark.parametrize("key", ["name", "base_url", "supported_apis", "api_version", "collect_from", "apitoken"])
def test_a_token_pasted_into_the_wrong_place_is_not_repeated(key: str) -> None:
    long = token(aud=["events.1password.com"], filler="x" * 200)
    document = config_of(**{key: [long] if key == "supported_apis" else long})
    text = "".join(f"{problem}" for problem in problems_of(document))
    assert long.split(".")[1] not in text
    assert long[:60].lower() not in text.lower()


def test_a_token_with_a_fault_is_not_repeated() -> None:
    for wrong in (f" {TOKEN}", f"Bearer {TOKEN}", f"{TOKEN}…"):
        assert TOKEN[:8] not in str(the_problem(config_of(api_token=wrong)))


# Reading the file


def test_a_file_with_a_token_that_others_may_read_gets_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "source.json"
    path.write_text(json.dumps(EXPORT))
    path.chmod(0o640)
    data, warning = read_file(path)
    assert parse(data) == parse(EXPORT)
    assert warning is not None
    assert "(mode 0640)" in warning
    assert f"chmod 600 {path}" in warning


def test_a_private_file_and_one_without_a_token_get_none(tmp_path: Path) -> None:
    path = tmp_path / "source.json"
    path.write_text(json.dumps(EXPORT))
    path.chmod(0o600)
    assert read_file(path)[1] is None
    path.write_text(to_json(parse(EXPORT)[0]))
    path.chmod(0o644)
    assert read_file(path)[1] is None


def test_a_pipe_is_read_without_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    path.chmod(0o666)
    writer = threading.Thread(target=path.write_text, args=(json.dumps(EXPORT),))
    writer.start()
    data, warning = read_file(path)
    writer.join()
    assert (parse(data), warning) == (parse(EXPORT), None)


def test_a_file_that_is_not_there_and_a_directory(tmp_path: Path) -> None:
    for path, problem in ((tmp_path / "none.json", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(ConfigurationError) as raised:
            read_file(path)
        assert raised.value.problems[0].path == str(path)
        assert problem in raised.value.problems[0].description


def test_a_file_that_is_no_configuration_is_not_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "large.json"
    path.write_bytes(b" " * (1024 * 1024 + 1))
    with pytest.raises(ConfigurationError, match="larger than 1 MiB"):
        read_file(path)


def test_the_mode_stays_what_it_was(tmp_path: Path) -> None:
    path = tmp_path / "source.json"
    path.write_text(json.dumps(EXPORT))
    path.chmod(0o644)
    read_file(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


# Writing it back


def test_the_export_is_written_as_it_was_read() -> None:
    text = json.dumps(EXPORT, indent=2, ensure_ascii=False) + "\n"
    assert to_json(parse(text.encode())[0], mask=False) == text


def test_a_list_is_written_as_it_was_read() -> None:
    document = several(
        {"api_token": token(jti="1"), "fields": {"z": 1, "a": 2.5, "m": False}},
        {"name": "2Pass ☂", "base_url": "http://127.0.0.1:8000", "api_version": "v1", "collect_from": "7d"},
    )
    text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    assert to_json(parse(text.encode()), mask=False) == text


def test_masked_text_can_be_read_again() -> None:
    config = one()
    (again,) = parse(to_json(config).encode())
    assert again == replace(config, api_token=None)
    assert '"api_token": "********"' in to_json(config)


line = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp", "Cf")), min_size=1, max_size=30)
names = line.map(str.strip).filter(bool)
values = st.one_of(line, st.booleans(), st.integers(-(2**70), 2**70), st.floats(allow_nan=False, allow_infinity=False))
configs = st.builds(
    SourceConfig,
    name=names,
    description=st.none() | line,
    category=st.none() | line,
    fields=st.dictionaries(line.filter(lambda key: key != "_siemForward"), values, max_size=4),
    base_url=st.sampled_from([f"https://{host}" for host in HOSTS] + ["http://127.0.0.1:8000", "https://[::1]"]),
    api_token=st.none() | st.text("abcXYZ019-_.", min_size=1).map(Secret),
    supported_apis=st.permutations(list(Api)).flatmap(lambda apis: st.integers(1, 3).map(lambda n: tuple(apis[:n]))),
    api_version=st.sampled_from(["v1", "v2"]),
    collect_from=st.none()
    | st.sampled_from(["0m", "90m", "24h", "120d", "2w", "2026-11-01", "2026-11-01T01:02:03.5+01:00"]),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(configs, min_size=1, max_size=3, unique_by=lambda config: config.name))
def test_whatever_was_written_is_read_back_the_same(written: list[SourceConfig]) -> None:
    text = to_json(written, mask=False)
    read = parse(text.encode())
    assert read == written
    assert to_json(read, mask=False) == text
    assert [list(config.fields) for config in read] == [list(config.fields) for config in written]
    assert parse(to_json(written[0], mask=False).encode()) == written[:1]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def read_or_refuse(data: bytes) -> None:
    try:
        text = to_json(parse_sources(data, allowed_hosts=NONE, token=None))
    except ConfigurationError as error:
        text = str(error)
    assert text.encode()  # it can be printed: there is no lone surrogate in it


@settings(deadline=None)
@given(st.binary())
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    read_or_refuse(data)


@settings(deadline=None)
@given(json_values)
def test_any_json_is_read_or_refused(value: Any) -> None:
    read_or_refuse(json.dumps(value).encode())


@settings(max_examples=300, deadline=None)
@given(
    st.dictionaries(st.sampled_from([*EXPORT["source"]["config"], "api_version", "collect_from", "x"]), json_values),
    st.dictionaries(
        st.sampled_from(["sourceType", "schemaRef", "config", "filters", "\ud800"]), json_values, max_size=2
    ),
)
def test_any_value_in_any_place_is_read_or_refused(config: dict[str, Any], source: dict[str, Any]) -> None:
    document = config_of(**config)
    document["source"] |= source
    read_or_refuse(json.dumps(document).encode())
    read_or_refuse(json.dumps({"sources": [document["source"], document["source"]]}).encode())


@settings(deadline=None)
@given(st.integers(0, 400), st.sampled_from([b"", b"\x00", b"\xff", b'"', b"{", b"1e9999"]))
def test_a_file_cut_off_or_damaged_anywhere_is_read_or_refused(place: int, damage: bytes) -> None:
    data = json.dumps(EXPORT).encode()
    read_or_refuse(data[:place])
    read_or_refuse(data[:place] + damage + data[place:])


# Where the first run starts


def test_a_time_that_has_aged_is_told_and_not_refused() -> None:
    config = one(collect_from="2026-01-01")
    assert "older than 120 days" in config.warnings[0]


# Names on a Prefect server


@pytest.mark.parametrize("name", ["1Pass", "Zürich - Büro (EU)", "a.b_c d", "日本"])
def test_a_deployment_bears_the_name_itself(name: str) -> None:
    assert deployment_name(name) == name


@pytest.mark.parametrize("name", ["a/b", "50%", "R&D", "<x>"])
def test_what_prefect_does_not_allow_becomes_dashes_and_a_hash(name: str) -> None:
    assert not set("/%&<>") & set(deployment_name(name))
    assert deployment_name(name) != deployment_name(name.translate(str.maketrans("/%&<>", "-----")))


def test_the_names_never_change() -> None:
    assert deployment_name("R&D / EU") == "R-D - EU-602a2c855f"
    assert block_name("1Pass") == "1pass-4ccf816974"
    assert block_name("日本") == "source-a376300a18"
    assert block_name("Zürich - Büro") == "zurich-buro-d4e932493e"


@settings(deadline=None)
@given(line, line)
def test_every_name_has_a_block_name_of_its_own(one: str, other: str) -> None:
    name = block_name(one)
    assert len(name) <= 60
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    assert not name.startswith("-")
    assert (name == block_name(other)) == (one == other)
    assert (deployment_name(one) == deployment_name(other)) == (one == other)
