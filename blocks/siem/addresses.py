"""Which addresses a SIEM may have: HTTPS, or this very machine."""

from __future__ import annotations

import httpx

from blocks.http.loopback import is_loopback
from blocks.problems import Problem, quote


def url_problem(path: str, url: str, *, secret: bool = False) -> Problem | None:
    """What is wrong with the address of a SIEM, or None. `path` is the member that holds it.

    `secret`: whether the whole address is kept as one. Only then may there be a query, which may hold a key.
    """
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, TypeError):
        return Problem(path, "it is no URL", "https://host[:port][/path]")
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
        return Problem(path, f"{quote(parsed.host)} would be sent secrets and events in the clear", "https://…")
    return Problem(path, f"{quote(url)} is no address of a SIEM", "https://host[:port][/path]")
