"""The shape raw: the body as 1Password sent it."""

from __future__ import annotations

from typing import Any

import msgspec

from blocks.siem.formats import json_text


class BodyHead(msgspec.Struct, frozen=True, gc=False):
    """What is read of a body to tell what it is and whose. Each of them may be anything."""

    category: Any = None
    action: Any = None
    account_uuid: Any = None


_head = msgspec.json.Decoder(BodyHead)


def parse_head(body: bytes | str) -> BodyHead:
    try:
        return _head.decode(body)
    except (ValueError, RecursionError):
        found = json_text.parse_object(body)
    return BodyHead(found.get("category"), found.get("action"), found.get("account_uuid"))


def single_line(body: bytes) -> bytes:
    """The body, byte for byte but for line breaks: in legal JSON those stand between members only."""
    if b"\n" in body or b"\r" in body:
        return body.replace(b"\n", b" ").replace(b"\r", b" ")
    return body
