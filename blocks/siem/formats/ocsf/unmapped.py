"""What of the documented members OCSF has no place for."""

from __future__ import annotations

from typing import Any

from blocks.siem.formats.body import Client


def unmapped(**members: Any) -> dict[str, Any] | None:
    """Those that are there, under 1Password's own names. What is not documented is in `raw_data` only."""
    return {name: value for name, value in members.items() if value is not None} or None


def client_versions(client: Client) -> Client | None:
    """The versions: OCSF's device has neither an app's nor a browser's."""
    if client.app_version is None and client.platform_version is None:
        return None
    return Client(app_version=client.app_version, platform_version=client.platform_version)
