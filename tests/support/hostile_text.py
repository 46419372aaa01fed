"""A text from outside that would be markup, a formula or an order to a terminal where a page let it."""

from __future__ import annotations

HOSTILE = "<script>x</script>\u202e\x1b[31m=cmd()"


def require_harmless(page: str) -> None:
    """Assert that a page shows HOSTILE as text alone."""
    assert "<script>x" not in page
    assert "\u202e" not in page
    assert "\x1b" not in page
