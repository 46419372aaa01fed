"""Proxies of the environment, and entries of NO_PROXY that httpx cannot read."""

from __future__ import annotations

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blocks.errors import ThirdPartyConfigError
from blocks.http import proxies

PROXY = "http://proxy.example:3128"
FOR_HTTPX = {
    "localhost,127.0.0.1,fd00:1234::/64": "localhost,127.0.0.1",
    "[::1]": "::1",
    "[::1]:8080": "all://[::1]:8080",
    "::1": "::1",
    "10.0.0.0/8": "10.0.0.0/8",
    "a.example b.example\tc.example": "a.example,b.example,c.example",
    " , a.example ,": "a.example",
    "*": "*",
    "*.a.example,.b.example": "a.example,b.example",
    "a.example:8443": "a.example:8443",
    "https://a.example": "https://a.example",
    "a.example:port,:::,[,a/b,exämple.com": "",
    "127.0.0.1,localhost,::1": "127.0.0.1,localhost,::1",
}


@pytest.mark.parametrize("text", FOR_HTTPX)
def test_what_httpx_is_left_with(text: str) -> None:
    environment = {"NO_PROXY": text, "OTHER": "stays"}
    proxies.make_readable(environment)
    assert environment["NO_PROXY"] == FOR_HTTPX[text]
    assert environment["OTHER"] == "stays"


def test_what_cannot_be_read_is_named_with_its_variable_once() -> None:
    environment = {
        "NO_PROXY": "a.example,fd00:1234::/64,[",
        "no_proxy": "fd00:1234::/64",
        "HTTPS_PROXY": "http://u:secret@[",
    }
    found = proxies.make_readable(environment)
    assert [sentence.partition(".")[0] for sentence in found] == [
        "no_proxy has an entry that Prefect's HTTP client cannot read: fd00:1234::/64",
        "NO_PROXY has an entry that Prefect's HTTP client cannot read: fd00:1234::/64",
        "NO_PROXY has an entry that cannot be read: [",
        "HTTPS_PROXY is no address of a proxy such as http://HOST:PORT",
    ]
    assert "secret" not in str(found)
    assert proxies.make_readable(environment) == []


def test_what_both_cases_have_alike_is_said_once() -> None:
    """As most people set them, and most distributions do."""
    both = {"no_proxy": "a.example,[", "https_proxy": "http://["}
    environment = both | {name.upper(): text for name, text in both.items()}
    for found in (proxies.unreadable(environment), proxies.make_readable(environment), proxies.unreadable(environment)):
        assert [sentence.partition(" ")[0] for sentence in found] == ["no_proxy", "https_proxy"]
    assert {environment[name] for name in ("no_proxy", "NO_PROXY")} == {"a.example"}
    assert {environment[name] for name in ("https_proxy", "HTTPS_PROXY")} == {""}
    assert proxies.proxy_of("http://a.example", environment) is None


@settings(deadline=None)
@given(
    st.text(max_size=60) | st.text("ab.:/[]*, \t01f-", max_size=60),
    st.text(max_size=30) | st.text("htp:/@[]01.", max_size=30),
)
def test_httpx_can_read_whatever_is_left(no_proxy: str, proxy: str) -> None:
    no_proxy, proxy = (text.replace("\0", "").encode(errors="replace").decode() for text in (no_proxy, proxy))
    environment = {"NO_PROXY": no_proxy, "HTTP_PROXY": proxy, "ALL_PROXY": PROXY}
    proxies.make_readable(environment)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        httpx.Client(verify=False).close()  # noqa: S501 - nothing is requested


@pytest.mark.parametrize(
    ("no_proxy", "url", "is_excepted"),
    [
        ("fd00:1234::/64", "https://[fd00:1234::5]:8088", True),
        ("fd00:1234::/64", "https://[fd00:1235::5]:8088", False),
        ("10.0.0.0/8", "https://10.1.2.3", True),
        ("[fd00::1]", "https://[fd00::1]", True),
        ("[fd00::1]:443", "https://[fd00::1]", True),
        ("[fd00::1]:444", "https://[fd00::1]", False),
        ("a.example:8443 b.example", "https://a.example:8443/path", True),
        ("a.example:8443 b.example", "https://b.example", True),
        ("a.example:8443", "https://a.example", False),
        ("example", "https://a.example", True),
        (".example", "https://a.EXAMPLE.", True),
        ("xample", "https://a.example", False),
        ("[, *", "https://a.example", True),
        ("http://a.example", "https://a.example", False),
        ("[", "https://a.example", False),
    ],
)
@pytest.mark.parametrize("made_readable", [False, True])
def test_the_proxy_of_our_own_clients(no_proxy: str, url: str, is_excepted: bool, made_readable: bool) -> None:
    environment = {"no_proxy": no_proxy, "HTTPS_PROXY": PROXY}
    if made_readable:
        proxies.make_readable(environment)
    assert proxies.proxy_of(url, environment) == (None if is_excepted else PROXY)


def test_the_scheme_has_its_own_proxy_before_that_of_all() -> None:
    environment = {
        "https_proxy": "proxy.example:1",
        "HTTPS_PROXY": "http://x",
        "HTTP_PROXY": "http://y",
        "ALL_PROXY": "http://z",
    }
    assert proxies.proxy_of("https://a.example", environment) == "http://proxy.example:1"
    assert proxies.proxy_of("http://a.example", environment) == "http://y"
    assert proxies.proxy_of("http://a.example", {"ALL_PROXY": "http://z"}) == "http://z"
    assert proxies.proxy_of("http://a.example", {}) is None


@pytest.mark.parametrize(
    "text", ["gopher://user:secret@x", "http://[", "secret secret", "http://x:port", "http://", "socks5://x:1"]
)
@pytest.mark.parametrize("made_readable", [False, True])
def test_a_proxy_that_is_none_stops_what_needs_it_and_nothing_else(text: str, made_readable: bool) -> None:
    environment = {"HTTPS_PROXY": text, "NO_PROXY": "b.example"}
    if made_readable:
        proxies.make_readable(environment)
    with pytest.raises(ThirdPartyConfigError, match="HTTPS_PROXY is no address of a proxy") as raised:
        proxies.proxy_of("https://a.example", environment)
    assert (raised.value.code, "secret" in str(raised.value)) == ("environment", False)
    assert proxies.proxy_of("http://a.example", environment) is None
    assert proxies.proxy_of("https://b.example", environment) is None
