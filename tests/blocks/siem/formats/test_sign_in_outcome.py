"""The outcome of a sign-in attempt follows its category."""

from __future__ import annotations

import pytest

from blocks.events_api.models import Api
from blocks.events_api.vocabulary import EVENTS
from blocks.siem.formats import sign_in_outcome


@pytest.mark.parametrize("category", sorted(EVENTS[Api.SIGN_IN.path]["category"] or ()))  # type: ignore[arg-type]
def test_each_documented_category_is_a_success_or_a_failure(category: str) -> None:
    expected = "failure" if category.endswith("_failed") else "success"
    assert sign_in_outcome.classify(category) == expected


@pytest.mark.parametrize(
    ("category", "expected"),
    [("passkey_failed", "failure"), ("beamed", "unknown"), ("", "unknown"), (None, "unknown"), (5, "unknown")],
)
def test_another_category_is_unknown_unless_it_says_that_it_failed(category: object, expected: str) -> None:
    assert sign_in_outcome.classify(category) == expected
