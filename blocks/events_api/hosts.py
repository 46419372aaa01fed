"""Where a token may be sent: 1Password's own hosts over https, this machine, and what the settings allow."""

from __future__ import annotations

import difflib
import ipaddress
import re
from dataclasses import dataclass

from blocks import settings
from blocks.errors import ThirdPartyConfigError
from blocks.http.loopback import is_loopback

HOSTS = ("events.1password.com", "events.1password.ca", "events.1password.eu", "events.ent.1password.com")
_ONE_OF = f"{', '.join(HOSTS[:-1])} or {HOSTS[-1]}"
_ALLOWED = f"{settings.PREFIX}ALLOWED_HOSTS"
_DEFAULT_PORTS = {"https": 443, "http": 80}
_PORT_MAX = 65535
_URL = re.compile(r"(?:([^:/?#@]*)://)?([^/?#\\]*)(.*)", re.DOTALL)
_AUTHORITY = re.compile(r"(\[[0-9a-f:.]+\]|[^:\[\]]*)(?::([0-9]{1,5}))?", re.ASCII)
_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?:\.(?!-)[a-z0-9_-]{1,63})*", re.ASCII)
_TOKEN = re.compile(r"eyJ[A-Za-z0-9_-]{20,}(\.[A-Za-z0-9_-]*)*")


class HostError(ThirdPartyConfigError):
    """No token is sent there. `problem` and `expected` are the halves of the text, for a list of problems."""

    def __init__(self, problem: str, expected: str) -> None:
        self.problem = problem
        self.expected = expected
        sentence = f"{problem[0].upper()}{problem[1:]}."
        super().__init__(sentence, hint=f"Expected {expected}.", code="base-url")


@dataclass(frozen=True, slots=True)
class _Server:
    scheme: str
    host: str
    port: int | None

    @property
    def authority(self) -> str:
        return self.host if self.port is None else f"{self.host}:{self.port}"


def normalise_base_url(text: str, allowed_hosts: frozenset[str] = frozenset()) -> str:
    """The base URL as `https://host`, from a host or a URL. Raises HostError where a token may not go there.

    http is taken for this machine alone (127.0.0.0/8, ::1, localhost). 1Password's hosts have port 443 alone;
    an entry of `allowed_hosts` is a host, or host:port where the port is another.
    """
    server = _parse(text.strip())
    if not is_loopback(server.host):
        _check(server, allowed_hosts)
    return f"{server.scheme}://{server.authority}"


def require_allowed(url: str, allowed_hosts: frozenset[str] | None = None) -> None:
    """Raises HostError unless `url` is a base URL in the form of `normalise_base_url`.

    Without `allowed_hosts`, those of the settings count.
    """
    allowed = settings.allowed_hosts() if allowed_hosts is None else allowed_hosts
    normalised = normalise_base_url(url, allowed)
    if normalised != url.removesuffix("/"):
        raise HostError("the base URL is not in its plain form", normalised)


def is_loopback_url(base_url: str) -> bool:
    """Whether a base URL is of this machine. Raises HostError for what is no URL."""
    return is_loopback(_parse(base_url).host)


def _parse(text: str) -> _Server:
    if not text:
        raise HostError("the base URL is empty", f"the host of your account: {_ONE_OF}")
    if _TOKEN.fullmatch(text):
        raise HostError("the base URL looks like a token", f"the host of your account: {_ONE_OF}")
    match = _URL.fullmatch(text.lower())
    scheme, authority, rest = match.groups() if match else (None, "", "")
    if scheme not in (None, "http", "https"):
        raise HostError("the base URL is not https", f"https:// and the host of your account: {_ONE_OF}")
    server = _server(scheme or "https", authority)
    if rest not in ("", "/"):
        raise HostError("the base URL has more than a host", f"{server.scheme}://{server.authority} alone")
    return server


def _server(scheme: str, authority: str) -> _Server:
    if "@" in authority:
        raise HostError("the base URL holds a user name or a password", f"the host alone: {_ONE_OF}")
    match = _AUTHORITY.fullmatch(authority)
    host = _host(match[1]) if match else None
    if not match or not host:
        raise HostError("the base URL names no host", f"a host such as {HOSTS[0]}, or an IPv6 address in []")
    port = int(match[2]) if match[2] else _DEFAULT_PORTS[scheme]
    if not 0 < port <= _PORT_MAX:
        raise HostError(f"there is no port {port}", f"a port from 1 to {_PORT_MAX}, or none")
    return _Server(scheme, host, None if port == _DEFAULT_PORTS[scheme] else port)


def _host(text: str) -> str | None:
    if text.startswith("["):
        try:
            return f"[{ipaddress.IPv6Address(text[1:-1])}]"
        except ValueError:
            return None
    name = text.removesuffix(".")
    return name if _NAME.fullmatch(name) else None


def _check(server: _Server, allowed_hosts: frozenset[str]) -> None:
    if server.scheme != "https":
        problem = "the base URL is http, which would send the token in the clear"
        raise HostError(problem, f"https://{_nearest(server.host) or server.host}")
    if server.authority not in {*HOSTS, *(_entry(text) for text in allowed_hosts)}:
        raise _not_allowed(server)


def _entry(text: str) -> str:
    """A host of the settings, in the form of `_Server.authority`."""
    return text.strip().lower().removeprefix("https://").removesuffix("/").removesuffix(":443")


def _not_allowed(server: _Server) -> HostError:
    if server.host in HOSTS:
        return HostError(f"{server.host} has no port {server.port}", f"https://{server.host}")
    # A name without a dot may be a token in the wrong place, so it is not repeated.
    shown = f"the host {server.authority}" if "." in server.host else "the host"
    expected = f"{_nearest(server.host) or _ONE_OF}, or a host that {_ALLOWED} names"
    return HostError(f"{shown} is not one of 1Password's", expected)


def _nearest(host: str) -> str | None:
    """The most likely host: the events host of an account's own address, or the right spelling."""
    for known in sorted(HOSTS, key=len, reverse=True):
        domain = known.removeprefix("events.")
        if host == domain or host.endswith(f".{domain}"):
            return known
    return next(iter(difflib.get_close_matches(host, HOSTS, n=1, cutoff=0.8)), None)
