"""A secret is never shown, and nothing that copies it loses it."""

from __future__ import annotations

import copy
import pickle
from dataclasses import asdict, dataclass

from blocks.secret import MASK, Secret, is_masked


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
