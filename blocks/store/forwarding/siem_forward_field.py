"""Whether the events of a source are meant for a SIEM: its field `_siemForward` says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

FIELD = "_siemForward"


def is_forwarding_enabled(fields: Mapping[str, object]) -> bool:
    """True, or the text `true` in any case. The number 1 is not, though it equals True."""
    value = fields.get(FIELD)
    return value is True or (isinstance(value, str) and value.lower() == "true")
