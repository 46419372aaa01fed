"""Patterns are matched by RE2, within bounds of their size."""

from __future__ import annotations

import pytest

from blocks.siem.privacy import patterns
from blocks.siem.privacy.patterns import Pattern


def test_a_pattern_matches_a_whole_text() -> None:
    pattern = Pattern(".*SCIM.*")
    assert pattern.matches_whole(b"a SCIM bridge")
    assert not pattern.matches_whole(b"a bridge")
    assert not Pattern("SCIM").matches_whole(b"SCIM bridge")


def test_spans_are_those_of_the_match_and_its_groups() -> None:
    pattern = Pattern("(a+)(x)?")
    assert pattern.spans(b"--aa-", 0) == ((2, 4), (2, 4), (-1, -1))
    assert pattern.spans(b"--aa-", 4) is None
    assert pattern.groups == 2


@pytest.mark.parametrize(
    ("text", "expected"), [("é", "é".encode()), ("\ud800", "\ufffd".encode()), ("\ud83d\ude00", "😀".encode())]
)
def test_a_lone_surrogate_becomes_the_replacement_character(text: str, expected: bytes) -> None:
    assert patterns.utf8(text) == expected


@pytest.mark.parametrize("pattern", ["(?=a)", "(?<!a)", r"(a)\1", "(?>a)", "[", "a" * (patterns.PATTERN_MAX + 1)])
def test_an_invalid_pattern_raises_and_is_reported(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"^it "):
        Pattern(pattern)
    (problem,) = patterns.problems(pattern, "$.x")
    assert problem.path == "$.x"


def test_a_set_of_patterns_is_bounded_in_number_and_size() -> None:
    assert not list(patterns.pattern_set_problems(["a"] * patterns.COUNT_MAX + ["["], "$"))
    (many,) = patterns.pattern_set_problems(["a"] * (patterns.COUNT_MAX + 1), "$")
    assert many.description == f"it has {patterns.COUNT_MAX + 1} patterns"
    (large,) = patterns.pattern_set_problems(["[a-z]{1,900}"] * 30, "$")
    assert "too large" in large.description
