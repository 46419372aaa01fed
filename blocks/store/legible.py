"""What a database cannot show of a JSON text, replaced, for the views.

A NUL escape cuts a value on SQLite and makes a whole query fail on PostgreSQL; half a surrogate pair makes it fail
on both. Both are legal JSON, and 1Password's clients pass on what users type. The body stays as it came; beside it
stands a copy with U+FFFD in their place.
"""

from __future__ import annotations

import re

_ESCAPES = re.compile(
    r"\\\\"  # an escaped backslash: what follows it is no escape
    r"|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    r"|(?P<illegible>\\u(?:0000|[dD][89a-fA-F][0-9a-fA-F]{2}))"
)


def legible(body: str) -> str | None:
    """The copy for the views, or None where the body itself will do."""
    if "\\u0000" not in body and "\\ud" not in body and "\\uD" not in body:
        return None
    shown = _ESCAPES.sub(lambda found: r"\ufffd" if found["illegible"] else found[0], body)
    return None if shown == body else shown
