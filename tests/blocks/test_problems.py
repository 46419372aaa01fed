"""The problems of a configuration: path, message, and the suggested correction."""

from __future__ import annotations

import pytest

from blocks.problems import (
    QUOTE_MAX,
    ConfigurationError,
    Problem,
    check_keys,
    closest_match,
    describe_type,
    json_path,
    quote,
)

ONE = Problem("source.name", "it is a number", "a text")
OTHER = Problem("source.x", "the key is not known", '"name"')


def test_one_problem_is_a_sentence_and_several_are_a_list_without_repeats() -> None:
    assert str(ConfigurationError([ONE, ONE])) == "source.name: it is a number; expected a text."
    assert str(ConfigurationError([ONE, OTHER])).splitlines() == [
        "The configuration has 2 problems:",
        "  source.name: it is a number; expected a text.",
        '  source.x: the key is not known; expected "name".',
    ]
    assert ConfigurationError([ONE, OTHER, ONE]).problems == (ONE, OTHER)


@pytest.mark.parametrize(
    ("key", "path"),
    [(3, "at[3]"), ("name", "at.name"), ("_1", "at._1"), ("1a", 'at["1a"]'), ("a b", 'at["a b"]'), ("é", 'at["é"]')],
)
def test_a_path_names_members_and_elements(key: str | int, path: str) -> None:
    assert json_path("at", key) == path


def test_a_quoted_text_is_short_and_cannot_drive_a_terminal() -> None:
    assert quote("é\x1b[31m") == '"\\u00e9\\u001b[31m"'
    assert quote("é") == '"é"'
    assert quote("x" * QUOTE_MAX) == f'"{"x" * QUOTE_MAX}"'
    assert quote("x" * (QUOTE_MAX + 1)) == f'"{"x" * (QUOTE_MAX - 1)}…"'


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (True, "true or false"),
        ("", "a text"),
        (0, "a number"),
        (1.5, "a number"),
        ([], "a list"),
        ({}, "an object"),
        (None, "null"),
    ],
)
def test_the_type_of_a_json_value_in_words(value: object, words: str) -> None:
    assert describe_type(value) == words


@pytest.mark.parametrize(
    ("text", "match"),
    [("Sign_In", "sign-in"), ("itemusage", "itemUsage"), ("audits", "audit"), ("", None), ("zzz", None)],
)
def test_the_closest_word_whatever_its_case_and_its_dashes(text: str, match: str | None) -> None:
    assert closest_match(text, ("sign-in", "itemUsage", "audit")) == match


def test_each_key_that_is_not_allowed_is_a_problem_with_the_one_that_was_meant() -> None:
    problems: list[Problem] = []
    check_keys({"name": 1, "nmae": 1, "zz": 1, "id": 1}, "source", ("name", "fields"), problems, ("id",))
    assert [(problem.path, problem.expected) for problem in problems] == [
        ("source.nmae", '"name"'),
        ("source.zz", "one of name, fields"),
    ]
