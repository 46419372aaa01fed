"""`onepassword-source fields disable`."""

from __future__ import annotations

from deployments.commands.field_table import set_enabled
from deployments.commands.options import FieldNames


def command(names: FieldNames) -> None:
    """Disable fields and say which were so already."""
    set_enabled(names, enabled=False)
