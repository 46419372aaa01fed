"""Errors of wrong use name what is wrong and what to use instead."""

from __future__ import annotations

from deployments.commands.support.usage import invalid_value, unknown_source, usage_error


def test_all_problems_are_one_error_with_the_help_of_the_command() -> None:
    error = usage_error("backfill", "--start is missing", "--window takes a time.")
    assert str(error) == "--start is missing. --window takes a time. See: onepassword-source backfill --help"


def test_an_invalid_value_comes_with_the_closest_one() -> None:
    assert (
        str(invalid_value("--format", "cvs", ("csv", "json")))
        == "--format takes csv, json, not 'cvs'. Did you mean csv?"
    )
    assert str(invalid_value("--format", "x", ("csv", "json"))) == "--format takes csv, json, not 'x'."


def test_an_unknown_source_can_be_created_or_looked_up() -> None:
    text = str(unknown_source("1Pass"))
    assert text.startswith("There is no source named '1Pass'. Create it with `onepassword-source apply FILE`.")
