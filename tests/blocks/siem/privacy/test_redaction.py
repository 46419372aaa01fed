"""Members are masked, hash_change and removed as a tree of changes says, and nothing else changes."""

from __future__ import annotations

import hashlib
import hmac

import pytest

from blocks.siem.privacy.redaction import Redaction, hash_change, mask, remove

KEY = b"a key of the test"


def redaction(*changes: tuple[str, object]) -> Redaction:
    made = Redaction()
    for path, change in changes:
        made.set_change(tuple(path.split(".")), change)  # type: ignore[arg-type]
    return made


@pytest.mark.parametrize(
    ("value", "masked"),
    [(b'"Ana"', b'"***"'), (b'""', b'"***"'), (b"5", b"null"), (b"true", b"null"), (b"null", b"null")],
)
def test_a_mask_hides_a_text_and_empties_a_number(value: bytes, masked: bytes) -> None:
    assert mask(value) == masked


@pytest.mark.parametrize(
    ("value", "text"), [(b'"Ana"', "Ana"), (b'"\\u0041na"', "Ana"), (b"5", "5"), (b"true", "true")]
)
def test_a_hash_is_that_of_the_text(value: bytes, text: str) -> None:
    expected = hmac.new(KEY, text.encode(), hashlib.sha256).hexdigest()
    assert hash_change(KEY)(value) == f'"{expected}"'.encode()


def test_a_hash_of_null_is_null() -> None:
    assert hash_change(KEY)(b"null") == b"null"


@pytest.mark.parametrize(
    ("changes", "data", "expected"),
    [
        ([("user.email", mask)], b'{"user":{"email":"a","n":1.0}}', b'{"user":{"email":"***","n":1.0}}'),
        ([("user", mask)], b'{"user":{"email":"a","n":[1,"b"]}}', b'{"user":{"email":"***","n":[null,"***"]}}'),
        ([("user", remove)], b'{"user":{"email":"a"},"x":1}', b'{"x":1}'),
        ([("user.email", remove)], b'{"user":[{"email":"a"},{"n":1}]}', b'{"user":[{},{"n":1}]}'),
        ([("user.email", mask), ("user", remove)], b'{"user":{"email":"a","n":1}}', b'{"user":{"email":"***"}}'),
        ([("user", mask), ("user.email", remove)], b'{"user":{"email":"a"}}', b'{"user":{"email":"***"}}'),
        ([("a", mask)], b'{"\\u0061":"x","a":"y"}', b'{"\\u0061":"***","a":"***"}'),
    ],
)
def test_the_first_change_of_a_member_counts(changes: list[tuple[str, object]], data: bytes, expected: bytes) -> None:
    assert redaction(*changes).apply(data) == expected


def test_an_event_without_the_member_is_the_same_object() -> None:
    data = b'{"x": 1.50}'
    assert redaction(("user.email", mask), ("client", remove)).apply(data) is data
