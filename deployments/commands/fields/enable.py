"""`onepassword-source fields enable`."""

from __future__ import annotations

from deployments.commands.field_table import set_enabled
from deployments.commands.options import FieldNames


def command(names: FieldNames) -> None:
    """Enable fields and say which were so already."""
    set_enabled(names, enabled=True)
