"""The addresses that a SIEM may have: HTTPS anywhere, HTTP on this machine alone, and no secret where it is shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.siem.addresses import url_problem


@pytest.mark.parametrize(
    "url",
    [
        "https://siem.example",
        "https://siem.example:8088/a/b",
        "http://localhost:9",
        "http://127.0.0.9/x",
        "http://[::1]:9",
    ],
)
def test_these_are_addresses(url: str) -> None:
    assert url_problem("block.url", url) is None
    assert url_problem("block.url", url, secret=True) is None


@pytest.mark.parametrize(
    ("url", "description"),
    [
        ("https://[::1", "it is not a URL"),
        (None, "it is not a URL"),
        ("https://user:key@siem.example", "it holds a user name or a password"),
        ("https://user@siem.example", "it holds a user name or a password"),
        ("https://siem.example?key", "it holds more than the address"),
        ("https://siem.example#key", "it holds more than the address"),
        ("http://siem.example", '"siem.example" would receive secrets and events without encryption'),
        ("", '"" is not an address of a SIEM'),
        ("https://", '"https://" is not an address of a SIEM'),
        ("http://", '"http://" is not an address of a SIEM'),
        ("ftp://siem.example", '"ftp://siem.example" is not an address of a SIEM'),
        ("siem.example", '"siem.example" is not an address of a SIEM'),
    ],
)
def test_these_are_not(url: str, description: str) -> None:
    problem = url_problem("block.url", url)
    assert problem is not None
    assert (problem.path, problem.description) == ("block.url", description)


@pytest.mark.parametrize("more", ["?key=x", "#key"])
def test_a_secret_address_may_hold_a_key_but_no_user(more: str) -> None:
    assert url_problem("block.url", f"https://siem.example{more}", secret=True) is None
    assert url_problem("block.url", f"https://user@siem.example{more}", secret=True) is not None
    assert url_problem("block.url", f"http://siem.example{more}", secret=True) is not None


@given(st.text())
def test_any_text_is_an_address_or_a_problem(url: str) -> None:
    problem = url_problem("block.url", url)
    assert problem is None or problem.path == "block.url"
