from __future__ import annotations

import copy
import inspect
import pickle
from typing import TYPE_CHECKING

import pytest

from blocks import errors
from blocks.errors import (
    ClaimLostError,
    CursorRejectedError,
    FirstPartyGenericError,
    SourceError,
    StoreVersionError,
    ThirdPartyConfigError,
    ThirdPartyGenericError,
    UnconfirmedError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

TYPES = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, SourceError)]
AGAIN = {"pickle": lambda error: pickle.loads(pickle.dumps(error)), "copy": copy.copy}  # noqa: S301 - our own bytes


def lines_of(kind: type[SourceError], indent: str = "") -> Iterator[str]:
    below = [one for one in TYPES if one.__base__ is kind]
    for one in below:
        last = one is below[-1]
        yield f"{indent}{'└── ' if last else '├── '}{one.__name__}"
        yield from lines_of(one, f"{indent}{'    ' if last else '│   '}")


def test_the_tree_in_the_docstring_is_the_real_one() -> None:
    drawn = [line[4:] for line in str(errors.__doc__).split("\n") if line.startswith("    ")]
    TYPES.sort(key=lambda kind: inspect.getsourcelines(kind)[1])
    real = ["SourceError", *lines_of(SourceError)]
    names = [line.split("  ")[0].rstrip() if "──" not in line else _name(line) for line in drawn]
    assert names == real


def _name(line: str) -> str:
    before, word = line.split("── ")
    return f"{before}── {word.split()[0]}"


def test_every_type_in_the_drawing_says_what_to_do() -> None:
    drawn = [line.split("── ")[1].split(None, 1) for line in str(errors.__doc__).split("\n") if "── " in line]
    assert all(len(words) == 2 for words in drawn)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (ThirdPartyConfigError, "ThirdPartyConfigError"),
        (CursorRejectedError, "ThirdPartyConfigError"),
        (ThirdPartyGenericError, "ThirdPartyGenericError"),
        (UnconfirmedError, "ThirdPartyGenericError"),
        (FirstPartyGenericError, "FirstPartyGenericError"),
        (StoreVersionError, "FirstPartyGenericError"),
        (ClaimLostError, "ClaimLost"),
    ],
)
def test_a_type_has_the_name_that_a_failed_run_shows(kind: type[SourceError], name: str) -> None:
    assert kind("It happened.").name == name


@pytest.mark.parametrize("again", AGAIN.values(), ids=list(AGAIN))
@pytest.mark.parametrize("kind", TYPES)
def test_an_error_survives_prefects_pickle_whole(kind: type[SourceError], again: object) -> None:
    error = kind("It happened.", hint="Do this.", code="418")
    error.retry_in = 2.5
    found = again(error)  # type: ignore[operator]
    assert type(found) is kind
    assert (found.message, found.hint, found.code, found.retry_in) == ("It happened.", "Do this.", "418", 2.5)
    assert (str(found), found.args, repr(found)) == (str(error), error.args, repr(error))


@pytest.mark.parametrize("kind", [ThirdPartyGenericError, UnconfirmedError])
def test_the_servers_wish_to_wait_survives_too(kind: type[ThirdPartyGenericError]) -> None:
    error = kind("It happened.", retry_after=17.0)
    assert pickle.loads(pickle.dumps(error)).retry_after == 17.0  # noqa: S301 - our own bytes
    assert kind("It happened.").retry_after is None


def test_the_text_is_the_sentence_and_then_what_to_do() -> None:
    assert str(SourceError("It happened.", hint="Do this.")) == "It happened. Do this."
    assert str(SourceError("It happened.")) == "It happened."
    assert SourceError("It happened.").retry_in is None


def test_what_an_error_arose_from_is_not_pickled() -> None:
    error = SourceError("It happened.")
    error.__cause__ = error.__context__ = ValueError("Bearer secret")
    assert b"secret" not in pickle.dumps(error)
