from __future__ import annotations

import contextlib
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blocks.errors import ThirdPartyConfigError
from blocks.events_api.hosts import HOSTS, HostError, normalise_base_url, require_allowed
from blocks.http.loopback import is_loopback

NONE: frozenset[str] = frozenset()


def is_allowed(url: str, allowed_hosts: frozenset[str] | None = None) -> bool:
    try:
        require_allowed(url, allowed_hosts)
    except HostError:
        return False
    return True


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("form", ["{}", "https://{}", "https://{}/", "HTTPS://{}", " {}\n", "{}:443", "{}."])
def test_1passwords_hosts_in_every_form_a_person_writes(host: str, form: str) -> None:
    assert normalise_base_url(form.format(host), NONE) == f"https://{host}"
    assert normalise_base_url(form.format(host.upper()), NONE) == f"https://{host}"


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("http://127.255.0.3/", "http://127.255.0.3"),
        ("http://localhost:80", "http://localhost"),
        ("http://[::1]:8000", "http://[::1]:8000"),
        ("http://[0:0:0:0:0:0:0:1]:8000", "http://[::1]:8000"),
        ("https://localhost:8443", "https://localhost:8443"),
        ("127.0.0.1:8000", "https://127.0.0.1:8000"),
    ],
)
def test_this_machine_with_http_and_any_port(text: str, url: str) -> None:
    assert normalise_base_url(text, NONE) == url


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        ("https://proxy.example.com", {"proxy.example.com"}),
        ("proxy.example.com", {" Proxy.example.com "}),
        ("https://proxy.example.com", {"https://proxy.example.com/"}),
        ("https://proxy.example.com", {"proxy.example.com:443"}),
        ("https://proxy.example.com:8443", {"proxy.example.com:8443"}),
        ("https://proxy", {"proxy"}),
        ("https://10.0.0.7", {"10.0.0.7"}),
        ("https://[fd00::7]:8443", {"[fd00::7]:8443"}),
    ],
)
def test_a_host_that_the_settings_allow(text: str, allowed: set[str]) -> None:
    assert normalise_base_url(text, frozenset(allowed)).startswith("https://")
    assert not is_allowed(text, NONE)


@pytest.mark.parametrize(
    "text",
    [
        "https://proxy.example.com:8443",
        "https://a.proxy.example.com",
        "https://proxy.example.com.evil.example",
        "http://proxy.example.com",
    ],
)
def test_an_allowed_host_allows_no_other_port_no_other_host_and_no_http(text: str) -> None:
    with pytest.raises(HostError):
        normalise_base_url(text, frozenset({"proxy.example.com"}))


@pytest.mark.parametrize(
    ("text", "problem", "expected"),
    [
        ("", "is empty", HOSTS[0]),
        ("  ", "is empty", HOSTS[0]),
        ("http://events.1password.com", "in the clear", "https://events.1password.com"),
        ("http://events.1password.com:8080", "in the clear", "https://events.1password.com"),
        ("ftp://events.1password.com", "not https", "https://"),
        ("://events.1password.com", "not https", "https://"),
        ("https://events.1password.com/api/v2", "more than a host", "https://events.1password.com alone"),
        ("https://events.1password.eu?a=b", "more than a host", "https://events.1password.eu alone"),
        ("https://events.1password.eu#a", "more than a host", "https://events.1password.eu alone"),
        ("https://events.1password.com\\@evil.example", "more than a host", "https://events.1password.com alone"),
        ("https://user:pass@events.1password.com", "a user name or a password", "the host alone"),
        ("https://events.1password.com@evil.example", "a user name or a password", "the host alone"),
        ("https://events.1password.com:8443", "no port 8443", "https://events.1password.com"),
        ("https://localhost:0", "no port 0", "from 1 to 65535"),
        ("https://localhost:65536", "no port 65536", "from 1 to 65535"),
        ("https://localhost:", "names no host", "a host such as"),
        ("https://localhost:http", "names no host", "a host such as"),
        ("https://", "names no host", "a host such as"),
        ("https:/events.1password.com", "names no host", "a host such as"),
        ("::1", "names no host", "in []"),
        ("https://[::1", "names no host", "in []"),
        ("https://[::1%25lo]", "names no host", "in []"),
        ("events 1password.com", "names no host", "a host such as"),
        ("events.1password.com\0", "names no host", "a host such as"),
        ("events..1password.com", "names no host", "a host such as"),
        ("acme.1password.com", "acme.1password.com is not one", "events.1password.com"),
        ("https://my.1password.eu", "my.1password.eu is not one", "events.1password.eu"),
        ("1password.ca", "1password.ca is not one", "events.1password.ca"),
        ("acme.ent.1password.com", "is not one", "events.ent.1password.com"),
        ("event.1pasword.com", "is not one", "events.1password.com"),
        ("events.1password.com.evil.example", "is not one", "ALLOWED_HOSTS"),
        ("another-company-of-the-name1password.ca", "is not one", "events.1password.com, events.1password.ca"),
        ("events.b5dev.com", "is not one", "ALLOWED_HOSTS"),
        ("https://10.0.0.7", "10.0.0.7 is not one", "ALLOWED_HOSTS"),
        ("http://10.0.0.7", "in the clear", "https://10.0.0.7"),
        ("http://0.0.0.0:8000", "in the clear", "https"),
        ("http://[::ffff:127.0.0.1]", "in the clear", "https"),
        ("http://2130706433", "in the clear", "https"),
        ("http://127.1", "in the clear", "https"),
        ("http://127.0.0.1.nip.io", "in the clear", "https"),
        ("http://localhost.evil.example", "in the clear", "https"),
    ],
)
def test_what_is_refused_and_what_would_be_right(text: str, problem: str, expected: str) -> None:
    with pytest.raises(HostError) as raised:
        normalise_base_url(text, NONE)
    assert problem in raised.value.problem
    assert expected in raised.value.expected
    assert str(raised.value).count("\n") == 0


def test_a_letter_of_another_alphabet_is_no_way_around() -> None:
    with pytest.raises(HostError, match="names no host"):
        normalise_base_url("https://\N{CYRILLIC SMALL LETTER IE}vents.1password.com", NONE)


@pytest.mark.parametrize("token", ["eyJhbGciOiJFUzI1NiIsImtpZCI6ImEifQ.eyJhdWQiOlsiYSJdfQ.c2ln", "a1b2c3d4e5f6g7h8"])
def test_a_token_in_the_wrong_place_is_not_repeated(token: str) -> None:
    with pytest.raises(HostError) as raised:
        normalise_base_url(token, NONE)
    assert token[:12].lower() not in str(raised.value).lower()


def test_the_error_survives_prefects_pickle() -> None:
    with pytest.raises(HostError) as raised:
        normalise_base_url("my.1password.eu", NONE)
    again = pickle.loads(pickle.dumps(raised.value))  # noqa: S301 - our own bytes
    assert isinstance(again, ThirdPartyConfigError)
    assert (str(again), again.problem) == (str(raised.value), raised.value.problem)


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("https://events.1password.com", True),
        ("https://events.1password.com/", True),
        ("http://127.0.0.1:8000", True),
        ("events.1password.com", False),
        ("https://EVENTS.1password.com", False),
        ("https://events.1password.com ", False),
        ("https://evil.example", False),
    ],
)
def test_before_a_session_is_opened_only_the_plain_form_passes(url: str, allowed: bool) -> None:
    assert is_allowed(url, NONE) is allowed


def test_the_settings_are_read_at_the_time_of_the_session(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEPASSWORD_SOURCE_ALLOWED_HOSTS", "a.example, b.example:8443")
    assert is_allowed("https://b.example:8443")
    monkeypatch.delenv("ONEPASSWORD_SOURCE_ALLOWED_HOSTS")
    assert not is_allowed("https://b.example:8443")


@settings(deadline=None)
@given(st.text())
def test_any_text_is_a_plain_url_of_a_safe_host_or_an_error(text: str) -> None:
    try:
        url = normalise_base_url(text, NONE)
    except HostError:
        return
    scheme, _, authority = url.partition("://")
    host = authority if authority in HOSTS else authority.rsplit(":", 1)[0]
    assert (scheme == "https" and host in HOSTS) or is_loopback(host) or is_loopback(authority)


@settings(deadline=None)
@given(st.sampled_from(HOSTS), st.text(alphabet="abev.-:/@?#%\\[]0184 \t\u212a", max_size=12), st.booleans())
def test_nothing_around_a_known_host_leads_elsewhere(host: str, addition: str, before: bool) -> None:
    text = f"{addition}{host}" if before else f"{host}{addition}"
    if is_allowed(text, NONE):
        assert text.rstrip("/") == f"https://{host}"
    with contextlib.suppress(HostError):
        assert normalise_base_url(text, NONE) == f"https://{host}"


@settings(deadline=None)
@given(st.sampled_from([f"https://{host}" for host in HOSTS] + ["http://127.0.0.1:8000", "https://[::1]:9"]))
def test_the_plain_form_stays_as_it_is(url: str) -> None:
    assert normalise_base_url(url, NONE) == url
