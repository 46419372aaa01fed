"""Times, addresses, countries and texts, in the form that SIEMs accept."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.siem.formats import field_values


@pytest.mark.parametrize(
    ("ns", "expected"),
    [
        (0, "1970-01-01T00:00:00.000000000Z"),
        (1_772_600_767_089_000_000, "2026-03-04T05:06:07.089000000Z"),
        (1_772_600_767_123_456_789, "2026-03-04T05:06:07.123456789Z"),
    ],
)
def test_a_time_has_nine_digits(ns: int, expected: str) -> None:
    assert field_values.rfc3339(ns) == field_values.received_rfc3339(ns) == expected


@given(st.integers(0, 4_102_444_800_000_000_000))
def test_milliseconds_are_those_of_the_time(ns: int) -> None:
    assert field_values.to_milliseconds(field_values.rfc3339(ns)) == ns // 1_000_000


@pytest.mark.parametrize("text", [None, "", "yesterday", "2026-03-04", "2026-13-04T05:06:07Z"])
def test_what_is_not_a_time_has_no_milliseconds(text: str | None) -> None:
    assert field_values.to_milliseconds(text) is None


@pytest.mark.parametrize("text", ["192.0.2.7", "::1", "2001:db8::7"])
def test_an_ip_address_is_one(text: str) -> None:
    assert field_values.is_ip(text)


@pytest.mark.parametrize("text", ["", "***", "192.0.2", "192.0.2.7/24", "fe80::1%eth0", "a" * 64])
def test_a_masked_address_or_one_with_a_zone_is_not_an_ip_address(text: str) -> None:
    assert not field_values.is_ip(text)


@pytest.mark.parametrize(
    ("country", "expected"),
    [("NZ", "NZ"), ("nz", None), ("NZL", None), ("ÄÖ", None), ("N1", None), ("", None), (None, None)],
)
def test_only_a_code_is_a_country_code(country: str | None, expected: str | None) -> None:
    assert field_values.country_code(country) == expected


@pytest.mark.parametrize(
    ("value", "text"), [(True, "true"), (False, "false"), (1, "1"), (1.5, "1.5"), ("Team", "Team")]
)
def test_a_value_becomes_a_text(value: object, text: str) -> None:
    assert field_values.to_text(value) == text
