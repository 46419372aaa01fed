"""The field `_siemForward`, which enables forwarding to SIEMs for a source."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

FIELD = "_siemForward"


def is_forwarding_enabled(fields: Mapping[str, object]) -> bool:
    """True if the field is True or the text `true` in any case. The number 1 does not count, though it equals True."""
    value = fields.get(FIELD)
    return value is True or (isinstance(value, str) and value.lower() == "true")
