"""The rules for one source: every member is checked, and each problem has its place and what would be right."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from typing import Any

import pytest
from support.source_documents import (
    EXPORT,
    NONE,
    NOW,
    TOKEN,
    config_of,
    one_source,
    parse,
    problems_of,
    several,
    the_problem,
    token,
)

from blocks.config.source_file import (
    ConfigurationError,
    to_json,
    with_token,
)
from blocks.events_api.models import Api
from blocks.secret import Secret
from blocks.source import OnePasswordSource


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
        config = one_source(supported_apis=[name])
        assert config.supported_apis == (api,)
        assert json.loads(to_json(config))["source"]["config"]["supported_apis"] == [name]
    for other in names[1:]:
        (problem,) = problems_of(config_of(supported_apis=[names[0], other]))
        assert "there twice" in problem.description


def test_what_is_optional_may_be_left_out() -> None:
    config = one_source(description=..., category=..., fields=...)
    assert (config.description, config.category, config.fields) == (None, None, {})
    assert one_source(description="", category="", fields=None) == config


def test_what_is_ours_beyond_the_export() -> None:
    config = one_source(api_version="v1", collect_from="7d")
    assert (config.api_version, config.collect_from) == ("v1", "7d")


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


def test_all_problems_of_a_file_come_at_once() -> None:
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


@pytest.mark.parametrize("absent", [..., None, "", "********", "*", " ** "])
def test_a_masked_token_counts_as_absent(absent: Any) -> None:
    assert one_source(api_token=absent).api_token is None


def test_the_token_of_the_environment_stands_in_for_a_masked_one() -> None:
    (config,) = parse(config_of(api_token="********"), token=TOKEN)
    assert config.api_token == Secret(TOKEN)


def test_the_token_of_the_file_comes_before_that_of_the_environment() -> None:
    (config,) = parse(EXPORT, token=token(jti="other"))
    assert config.api_token == Secret(TOKEN)


def test_a_problem_in_the_token_of_the_environment_names_the_variable_once() -> None:
    problem = the_problem(several({"api_token": None}, {"api_token": None, "name": "2Pass"}), token="a b")
    assert problem.path == "ONEPASSWORD_SOURCE_API_TOKEN"


def test_a_masked_token_of_the_environment_is_none() -> None:
    assert parse(config_of(api_token=None), token="****")[0].api_token is None


def test_the_token_names_the_host_where_the_file_does_not() -> None:
    assert (
        one_source(base_url=..., api_token=token(aud=["events.1password.eu"])).base_url == "https://events.1password.eu"
    )


def test_the_host_that_a_token_names_must_be_allowed_too() -> None:
    document = config_of(base_url=..., api_token=token(aud=["events.example.com"]))
    assert the_problem(document).path == "$.source.config.base_url"
    assert parse(document, allowed_hosts=frozenset({"events.example.com"}))[0].base_url == "https://events.example.com"


def test_an_old_token_names_no_host() -> None:
    document = config_of(base_url=..., api_token=token(aud=["com.1password.streamingservice"]))
    assert the_problem(document).description == "the base URL is empty"


def test_an_explicit_base_url_wins_and_it_says_so() -> None:
    config = one_source(api_token=token(aud=["events.1password.eu"]))
    assert config.base_url == "https://events.1password.com"
    assert "made for events.1password.eu" in config.warnings[0]


def test_a_token_that_is_still_to_come_may_name_the_host() -> None:
    config = one_source(base_url=..., api_token=None)
    assert config.base_url == ""
    requested = with_token(config, token(aud=["events.1password.ca"]), allowed_hosts=NONE)
    assert requested.base_url == "https://events.1password.ca"
    with pytest.raises(ConfigurationError, match="the base URL is empty"):
        with_token(config, TOKEN, allowed_hosts=NONE)


@pytest.mark.parametrize("requested", ["", "***", "a b"])
def test_what_was_requested_is_checked_as_well(requested: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        with_token(one_source(api_token=None), requested, allowed_hosts=NONE)
    assert raised.value.problems[0].path == "$.api_token"


def test_with_a_token_nothing_else_changes() -> None:
    config = one_source(api_token=None, api_version="v1", collect_from="2w", description="d")
    assert with_token(config, TOKEN, allowed_hosts=NONE) == replace(config, api_token=Secret(TOKEN))


@pytest.mark.parametrize(
    ("claims", "warning"),
    [
        ({"exp": NOW - 1}, "has expired"),
        ({"exp": NOW + 3 * 86_400 - 60}, "expires within 3 days"),
        ({"1password.com/fts": ["signinattempts", "auditevents"]}, "scopes itemusages that"),
    ],
)
def test_what_the_token_says_of_itself_is_a_warning(claims: dict[str, Any], warning: str) -> None:
    assert any(warning in text for text in one_source(api_token=token(**claims)).warnings)


@pytest.mark.parametrize(
    "claims", [{"exp": NOW + 90 * 86_400}, {"1password.com/fts": ["signinattempts", "itemusages"]}]
)
def test_a_token_in_order_warns_of_nothing(claims: dict[str, Any]) -> None:
    assert one_source(api_token=token(**claims)).warnings == ()


def test_a_token_that_was_cut_off_is_a_warning() -> None:
    assert "cut off" in one_source(api_token=TOKEN.rpartition(".")[0]).warnings[0]


@pytest.mark.parametrize("key", ["name", "base_url", "supported_apis", "api_version", "collect_from", "apitoken"])
def test_a_token_pasted_into_the_wrong_place_is_not_repeated(key: str) -> None:
    long = token(aud=["events.1password.com"], filler="x" * 200)
    document = config_of(**{key: [long] if key == "supported_apis" else long})
    text = "".join(f"{problem}" for problem in problems_of(document))
    assert long.split(".")[1] not in text
    assert long[:60].lower() not in text.lower()


def test_a_token_with_a_problem_is_not_repeated() -> None:
    for wrong in (f" {TOKEN}", f"Bearer {TOKEN}", f"{TOKEN}…"):
        assert TOKEN[:8] not in str(the_problem(config_of(api_token=wrong)))


def test_a_time_that_has_aged_is_a_warning_and_no_error() -> None:
    config = one_source(collect_from="2026-01-01")
    assert "older than 120 days" in config.warnings[0]
