"""A copy of a JSON body for the views, without the escapes that a database cannot decode.

A NUL escape truncates a value on SQLite and makes a whole query fail on PostgreSQL. A lone surrogate makes a query fail
on both. Both are legal JSON, and 1Password's clients send what users type. The body is stored unchanged; beside it
stands a copy with U+FFFD in place of these escapes.
"""

from __future__ import annotations

import re

_ESCAPES = re.compile(
    r"\\\\"  # an escaped backslash: the text after it is no escape
    r"|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    r"|(?P<illegible>\\u(?:0000|[dD][89a-fA-F][0-9a-fA-F]{2}))"
)


def legible(body: str) -> str | None:
    """The copy for the views, or None if the views can use the body itself."""
    if "\\u0000" not in body and "\\ud" not in body and "\\uD" not in body:
        return None
    copy = _ESCAPES.sub(lambda match: r"\ufffd" if match["illegible"] else match[0], body)
    return None if copy == body else copy
