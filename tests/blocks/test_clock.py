"""Spans of time in words."""

from __future__ import annotations

import pytest

from blocks import clock


@pytest.mark.parametrize(
    ("seconds", "says"),
    [
        (0, "0 s"),
        (119.4, "119 s"),
        (119.99, "2 min"),
        (120, "2 min"),
        (3600, "60 min"),
        (7169, "119 min"),
        (7199.99, "2 h"),
        (7200, "2 h"),
        (86400, "24 h"),
        (2 * 86400 - 1801, "47 h"),
        (2 * 86400 - 0.01, "2 d"),
        (400 * 86400, "400 d"),
    ],
)
def test_a_span_stands_in_the_largest_unit_of_which_it_has_two(seconds: float, says: str) -> None:
    assert clock.format_span(int(seconds * 1e9)) == says
