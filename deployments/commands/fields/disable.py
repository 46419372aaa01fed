"""`onepassword-source fields disable`."""

from __future__ import annotations

from deployments.commands.support.field_table import set_enabled
from deployments.commands.support.options import FieldNames, Json


def command(names: FieldNames, as_json: Json = False) -> None:
    """Disable fields, and print which were disabled already."""
    set_enabled(names, enabled=False, as_json=as_json)
