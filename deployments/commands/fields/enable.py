"""`onepassword-source fields enable`."""

from __future__ import annotations

from deployments.commands.support.field_table import set_enabled
from deployments.commands.support.options import FieldNames, Json


def command(names: FieldNames, as_json: Json = False) -> None:
    """Enable fields, and print which were enabled already."""
    set_enabled(names, enabled=True, as_json=as_json)
