"""Changes the bytes of single events: pure functions of (kind, bytes, occurrence), so that results stay comparable.

`occurrence` is 0 for the first event that a fault changes, 1 for the second, and so on.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from deployments.sandbox.faults import InjectedFault

_UUID = re.compile(rb'^\{"uuid":"[^"]*",')
_TIME = re.compile(rb'"timestamp":"[^"]*",')
_ENUMERATION = re.compile(rb'"(category|type|action|object_type)":"([^"]*)"')
_COUNT = re.compile(rb'"(used_version|aux_id)":\d+')

_NEW_MEMBERS = b'"x_risk":{"score":0.5,"why":["new",null,{}]},"x_flag":true,'
_HUGE_COUNT = rb'"\1":18446744073709551616'
_HUGE_MEMBERS = b'"x_whole":170141183460469231731687303715884105728,"x_real":1e400,'

_NO_UUIDS = (b"", b'"uuid":null,', b'"uuid":42,', b'"uuid":"",')
_NO_TIMES = (
    b'"timestamp":"yesterday",',
    b"",
    b'"timestamp":null,',
    b'"timestamp":1772600767,',
    b'"timestamp":"2026-02-30T25:61:61Z",',
)
_NO_OBJECTS = (b"null", b"42", b'"an event"', b"[]", b"true")


def alter(bodies: list[bytes], numbers: Any, faults: list[InjectedFault]) -> list[bytes]:
    """The bodies as they are served with these faults."""
    if not faults:
        return bodies
    return [_alter_one(body, number, faults) for body, number in zip(bodies, numbers, strict=True)]


def _alter_one(body: bytes, number: int, faults: list[InjectedFault]) -> bytes:
    for fault in faults:
        if fault.alters(number):
            body = _ALTERATIONS[fault.kind](body, number // fault.every, fault.options)
    return body


def _insert(body: bytes, members: bytes) -> bytes:
    """After the first member, so that `uuid` stays first. Bodies of another form stay as they are."""
    found = _UUID.match(body)
    return body[: found.end()] + members + body[found.end() :] if found else body


_ALTERATIONS: dict[str, Callable[[bytes, int, Mapping[str, Any]], bytes]] = {
    "unknown_members": lambda body, _occurrence, _options: _insert(body, _NEW_MEMBERS),
    "unknown_values": lambda body, _occurrence, _options: _ENUMERATION.sub(rb'"\1":"x_\2_of_tomorrow"', body),
    "huge_numbers": lambda body, _occurrence, _options: _insert(_COUNT.sub(_HUGE_COUNT, body), _HUGE_MEMBERS),
    "nul_escapes": lambda body, _occurrence, _options: _insert(
        body.replace(b'"name":"', rb'"name":"\u0000'), rb'"x_note":"a\u0000b",'
    ),
    "lone_surrogates": lambda body, _occurrence, _options: _insert(
        body.replace(b'"name":"', rb'"name":"\ud800'), rb'"x_note":"a\udfffb",'
    ),
    "no_uuid": lambda body, occurrence, _options: _UUID.sub(b"{" + _NO_UUIDS[occurrence % len(_NO_UUIDS)], body),
    "unreadable_time": lambda body, occurrence, _options: _TIME.sub(_NO_TIMES[occurrence % len(_NO_TIMES)], body, 1),
    "not_an_object": lambda _body, occurrence, _options: _NO_OBJECTS[occurrence % len(_NO_OBJECTS)],
    "big_event": lambda body, _occurrence, options: _insert(body, b'"x_blob":"' + b"b" * int(options["bytes"]) + b'",'),
}
