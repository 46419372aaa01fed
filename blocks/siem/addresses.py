"""The addresses that a SIEM may have: HTTPS, or this machine."""

from __future__ import annotations

import httpx

from blocks.http.loopback import is_loopback
from blocks.problems import Problem, quote


def url_problem(path: str, url: str, *, secret: bool = False) -> Problem | None:
    """Return the problem of a SIEM's address, or None. `path` is the member that holds it.

    `secret`: the whole address is stored as a secret. Only then may it have a query, which can hold a key.
    """
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, TypeError):
        return Problem(path, "it is not a URL", "https://host[:port][/path]")
    if parsed.userinfo:
        return Problem(
            path, "it holds a user name or a password", "the address alone; secrets have members of their own"
        )
    if not secret and (parsed.query or parsed.fragment):
        return Problem(path, "it holds more than the address", "the address alone; secrets have members of their own")
    if parsed.scheme == "https" and parsed.host:
        return None
    if parsed.scheme == "http" and is_loopback(parsed.host):
        return None
    if parsed.scheme == "http" and parsed.host:
        return Problem(path, f"{quote(parsed.host)} would receive secrets and events without encryption", "https://…")
    return Problem(path, f"{quote(url)} is not an address of a SIEM", "https://host[:port][/path]")
