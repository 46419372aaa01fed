"""A secret is never shown, and nothing that copies it loses it."""

from __future__ import annotations

import copy
import pickle
from dataclasses import asdict, dataclass
from typing import ClassVar

from pydantic import SecretStr

from blocks.secret import MASK, Secret, is_masked
from blocks.secret_block import SecretBlock


class Example(SecretBlock):
    """A block with a secret that it needs, and one that it may have."""

    _block_type_name: ClassVar[str | None] = "Example of secrets"

    token: SecretStr
    key: SecretStr = SecretStr("")


@dataclass
class Holder:
    secret: Secret


def test_no_text_of_a_secret_shows_it() -> None:
    secret = Secret("hunter2")
    shown = f"{secret} {secret!r} {[secret]} {Holder(secret)}"
    assert "hunter2" not in shown
    assert MASK in shown
    assert secret.get_secret_value() == "hunter2"


def test_a_pickle_holds_the_mask_only() -> None:
    assert b"hunter2" not in pickle.dumps(Secret("hunter2"))
    assert pickle.loads(pickle.dumps(Secret("hunter2"))) == Secret(MASK)  # noqa: S301 - our own


def test_copies_keep_it() -> None:
    secret = Secret("hunter2")
    assert copy.copy(secret) == copy.deepcopy(secret) == asdict(Holder(secret))["secret"] == secret
    assert len({secret, Secret("hunter2"), Secret("other")}) == 2


def test_only_asterisks_are_a_mask() -> None:
    assert all(is_masked(text) for text in ("", " ", "*", "********", " ** "))
    assert not any(is_masked(text) for text in ("a", "*a*", "**.**"))


def test_a_pickled_block_holds_no_secret() -> None:
    block = Example(token=SecretStr("hunter2"), key=SecretStr("letmein"))
    data = pickle.dumps(block)
    assert b"hunter2" not in data
    assert b"letmein" not in data


def test_a_secret_that_is_empty_in_the_ui_is_null_there_and_counts_as_unset() -> None:
    block = Example.model_validate({"token": "hunter2", "key": None})
    assert block.key.get_secret_value() == ""
    assert block.unset_secrets() == {"key"}
    assert Example(token=SecretStr("a"), key=SecretStr("b")).unset_secrets() == set()
