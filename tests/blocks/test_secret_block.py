"""Blocks with secrets: pickled without them, and what an empty secret of the UI is."""

from __future__ import annotations

import pickle
from typing import ClassVar

from pydantic import SecretStr

from blocks.secret_block import SecretBlock


class Example(SecretBlock):
    """A block with a secret that it needs, and one that it may have."""

    _block_type_name: ClassVar[str | None] = "Example of secrets"

    token: SecretStr
    key: SecretStr = SecretStr("")


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
