"""The proxy for a request, from the environment; and what in the environment cannot be read.

httpx reads the same variables, but raises InvalidURL, wherever it is used, at an entry of NO_PROXY that it does not
know (a network of IPv6, an address in brackets) and at a proxy that is none. So `make_readable` rewrites them for
Prefect's clients, which are httpx's, and keeps what was set; our own clients take that from `proxy_of`.
"""

from __future__ import annotations

import ipaddress
import os
import re
import ssl
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from blocks.errors import ThirdPartyConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, MutableMapping

AS_SET = "_AS_SET"
"""Behind the name of a variable: what it was before it was made readable. Processes that are started have it too."""
CERTIFICATES = "SSL_CERT_FILE"
NO_PROXY = ("no_proxy", "NO_PROXY")
PROXIES = ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
_EVERYTHING = "*"
_NAME = re.compile(r"(?:\*?\.)?[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*\.?")
_ENTRY = re.compile(r"(?:(?P<scheme>[a-z]+)://)?(?P<host>\[[^\]]*\]|[^:]*)(?::(?P<port>[0-9]{1,5}))?", re.IGNORECASE)
_PORT_MAX = 65535

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class _Entry:
    """What one entry of NO_PROXY matches: a network, or a name and all below it; of any scheme and port where empty."""

    host: Network | str
    scheme: str = ""
    port: int | None = None

    def matches(self, scheme: str, host: str, port: int) -> bool:
        if self.scheme not in {"", scheme} or self.port not in {None, port}:
            return False
        if isinstance(self.host, str):
            return host == self.host or host.endswith(f".{self.host}")
        return (address := _address(host)) is not None and address in self.host

    def for_httpx(self) -> str | None:
        """The same as httpx has it; None where it has nothing like it."""
        if isinstance(self.host, str):
            text = self.host
        elif self.host.num_addresses == 1:
            address = str(self.host.network_address)
            text = f"[{address}]" if ":" in address and (self.scheme or self.port) else address
        elif self.scheme or self.port or self.host.version == 6:  # noqa: PLR2004 - of IPv6
            return None
        else:
            return str(self.host)
        if self.scheme or (self.port and text.startswith("[")):
            text = f"{self.scheme or 'all'}://{text}"
        return f"{text}:{self.port}" if self.port else text


def make_readable(environment: MutableMapping[str, str]) -> list[str]:
    """Leave in the proxies' variables what httpx can read; sentences of what it cannot, for a person.

    A problem that a variable has in both spellings is reported once, with the lower-case name.
    """
    found = []
    as_set = dict(environment)
    for name in NO_PROXY:
        if (text := environment.get(name)) is not None:
            if not _repeats(name, as_set):
                found += [_said_of_entry(name, entry) for entry in _unlike_httpx(text)]
            _replace(environment, name, ",".join(_for_httpx(text)))
    for name in PROXIES:
        if (text := environment.get(name)) and not _is_proxy(text):
            if not _repeats(name, as_set):
                found.append(_said_of_proxy(name))
            _replace(environment, name, "")
    if (file := environment.get(CERTIFICATES)) and not _holds_certificates(file):
        # Prefect reads it when it is imported, and ends there.
        found.append(
            f"{CERTIFICATES} names {file!r}, where no certificate can be read. No HTTPS server can be trusted."
        )
        _replace(environment, CERTIFICATES, "")
        del environment[CERTIFICATES]
    return list(dict.fromkeys(found))


def _repeats(name: str, environment: Mapping[str, str]) -> bool:
    """Whether the name in lower case, which is read first, has the same value."""
    return not name.islower() and environment.get(name.lower()) == environment[name]


def unreadable(environment: Mapping[str, str] = os.environ) -> list[str]:
    """The problems of an environment that `make_readable` reports or has reported."""
    as_set = {name: text for name in (*NO_PROXY, *PROXIES, CERTIFICATES) if (text := _as_set(name, environment))}
    return make_readable(as_set)


def proxy_of(url: str, environment: Mapping[str, str] = os.environ) -> str | None:
    """The proxy's URL for this one, which is https:// or http://; None where there is none for it.

    Raises ThirdPartyConfigError where it cannot be read.
    """
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    name, text = _proxy_set_for(parts.scheme, environment)
    if not text or _is_excepted(parts.scheme, host, port, environment):
        return None
    if not _is_proxy(text):
        raise ThirdPartyConfigError(
            f"{name} is no address of a proxy, so {host} cannot be reached.",
            hint=f"Set {name} to http://HOST:PORT, or unset it.",
            code="environment",
        )
    return text if "://" in text else f"http://{text}"


def _proxy_set_for(scheme: str, environment: Mapping[str, str]) -> tuple[str, str]:
    for name in (f"{scheme}_proxy", f"{scheme}_proxy".upper(), "all_proxy", "ALL_PROXY"):
        if text := _as_set(name, environment):
            return name, text
    if environment is not os.environ or any(_as_set(name, environment) for name in PROXIES):
        return "", ""
    from urllib.request import getproxies  # noqa: PLC0415 - 0.1 s

    system = getproxies()  # of macOS and Windows, where the environment names none
    return "The system's proxy", system.get(scheme) or system.get("all") or ""


def _is_excepted(scheme: str, host: str, port: int, environment: Mapping[str, str]) -> bool:
    text = next((text for name in NO_PROXY if (text := _as_set(name, environment))), "")
    entries = _entries(text)
    return _EVERYTHING in entries or any(
        entry.matches(scheme, host.lower().rstrip("."), port) for entry in map(_parsed, entries) if entry is not None
    )


def _as_set(name: str, environment: Mapping[str, str]) -> str:
    return environment.get(name + AS_SET) or environment.get(name) or ""


def _replace(environment: MutableMapping[str, str], name: str, text: str) -> None:
    if text != environment[name]:
        environment.setdefault(name + AS_SET, environment[name])
        environment[name] = text


def _entries(text: str) -> list[str]:
    """Commas stand between them, or blanks, as curl has it."""
    return [entry for entry in re.split(r"[,\s]+", text) if entry]


def _holds_certificates(file: str) -> bool:
    try:
        state = Path(file).stat()
    except (OSError, ValueError):
        return False
    return _are_certificates(file, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=4)
def _are_certificates(file: str, _changed_ns: int, _size: int) -> bool:
    # The authorities of a whole system take 30 ms.
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=file)
    except (OSError, ValueError):
        return False
    return True


def _unlike_httpx(text: str) -> Iterator[str]:
    for entry in _entries(text):
        parsed = _parsed(entry)
        if entry != _EVERYTHING and (parsed is None or parsed.for_httpx() is None):
            yield entry


def _for_httpx(text: str) -> Iterator[str]:
    for entry in _entries(text):
        parsed = _parsed(entry)
        known = entry if entry == _EVERYTHING else parsed.for_httpx() if parsed else None
        if known is not None:
            yield known


def _parsed(entry: str) -> _Entry | None:
    if (network := _network(entry.strip("[]"))) is not None:
        return _Entry(network)
    found = _ENTRY.fullmatch(entry)
    if found is None or int(found["port"] or 0) > _PORT_MAX:
        return None
    host, scheme, port = found["host"], (found["scheme"] or "").lower(), int(found["port"] or 0) or None
    if (network := _network(host.strip("[]"))) is not None:
        return _Entry(network, scheme, port)
    if not _NAME.fullmatch(host):
        return None
    return _Entry(host.lower().lstrip("*").strip("."), scheme, port)


def _network(text: str) -> Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _is_proxy(text: str) -> bool:
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return False
    # Without the package socksio, httpx takes no proxy of SOCKS.
    known = parts.scheme in {"http", "https"} and port != 0 and not any(c.isspace() or ord(c) < 0x20 for c in text)  # noqa: PLR2004
    return known and bool(_NAME.fullmatch(host) or _address(host))


def _said_of_entry(name: str, entry: str) -> str:
    shown = entry if entry.isprintable() and "@" not in entry else "(one that is not shown)"
    if _parsed(entry) is None:
        return f"{name} has an entry that cannot be read: {shown}. It is passed over; the others hold."
    return (
        f"{name} has an entry that Prefect's HTTP client cannot read: {shown}. It holds for 1Password and SIEMs, but"
        " not for a Prefect server."
    )


def _said_of_proxy(name: str) -> str:
    return f"{name} is no address of a proxy such as http://HOST:PORT. What needs it cannot be reached."
