"""Which addresses a SIEM may have: HTTPS, or this very machine."""

from __future__ import annotations

import httpx

from blocks.events_api.hosts import is_loopback
from blocks.faults import Fault, show


def fault_of_url(path: str, url: str) -> Fault | None:
    """What is wrong with the address of a SIEM, or None. `path` is the member that holds it."""
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, TypeError):
        return Fault(path, "it is no URL", "https://host[:port][/path]")
    if parsed.userinfo:
        return Fault(path, "it holds a user name or a password", "the address alone; secrets have members of their own")
    if parsed.scheme == "https" and parsed.host:
        return None
    if parsed.scheme == "http" and is_loopback(parsed.host):
        return None
    if parsed.scheme == "http" and parsed.host:
        return Fault(path, f"{show(parsed.host)} would be sent secrets and events in the clear", "https://…")
    return Fault(path, f"{show(url)} is no address of a SIEM", "https://host[:port][/path]")
