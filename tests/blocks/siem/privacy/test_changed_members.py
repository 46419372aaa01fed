"""The members that rules changed are named by their paths."""

from __future__ import annotations

import pytest

from blocks.siem.privacy.changed_members import changed_members


@pytest.mark.parametrize(
    ("before", "after", "paths"),
    [
        ('{"a": 1}', b'{"a":1}', []),
        ('{"a": 1, "b": 2}', b'{"a":1}', ["b"]),
        ('{"user": {"name": "Ana", "email": "a@x"}}', b'{"user":{"name":"Ana","email":"***"}}', ["user.email"]),
        ('{"user": {"name": "Ana"}}', b"{}", ["user"]),
        ('{"list": [1, {"n": 2}]}', b'{"list":[1,{"n":null}]}', ["list"]),
        ('{"a": 1, "new": {}}', b'{"a":2,"more":1}', ["a", "new"]),
        ('{"a"', b"{}", []),
        ("[" * 100_000, b"{}", []),
    ],
)
def test_a_member_that_differs_or_is_gone_is_named(before: str, after: bytes, paths: list[str]) -> None:
    assert changed_members(before, after) == paths
