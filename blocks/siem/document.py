"""Which kind of configuration a JSON file holds."""

from __future__ import annotations


def holds_siems(document: object) -> bool:
    """Whether a file that `strict_json.decode` has read holds SIEMs, and not sources."""
    return isinstance(document, dict) and bool({"siem", "siems"} & set(document))
