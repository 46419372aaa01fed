"""The members of events as rules name them: by their path with dots, or by a class of personal data."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING

from blocks.events_api.vocabulary import EVENTS
from blocks.problems import Problem, closest_match, quote

if TYPE_CHECKING:
    from collections.abc import Iterator

    from blocks.events_api.vocabulary import Members

Path = tuple[str, ...]

NEW = "new:"
"""Stands before a member or a value that is not documented, to say that it is no slip of the pen."""
CLASSES: Mapping[str, tuple[str, ...]] = {"@names": ("name",), "@emails": ("email",), "@ips": ("ip", "ip_address")}
"""Shorthands, and the last part of the members that each stands for, in every API and version."""
KEPT = ("uuid", "timestamp")
"""What no rule may change: an event without them could neither be told from others nor be found."""
STAYING = ("account_uuid",)
"""What may be masked or hashed, but not removed: an event that names no account goes out with its source's."""


@cache
def known() -> tuple[Path, ...]:
    """The path of every documented member of any API, objects and what they hold alike."""
    return tuple(sorted({path for members in EVENTS.values() for path in _paths(members)}))


@cache
def of_class(name: str) -> tuple[Path, ...]:
    """The members that a shorthand stands for."""
    return tuple(path for path in known() if path[-1] in CLASSES[name])


def resolved(name: str) -> tuple[Path, ...]:
    """The paths that a checked name stands for."""
    return of_class(name) if name in CLASSES else (tuple(name.removeprefix(NEW).split(".")),)


def name_problems(name: str, path: str, *, classes: bool = True) -> Iterator[Problem]:
    """What is wrong in the name of a member; `path` is where it stands. Without `classes`, shorthands are wrong."""
    dotted = [".".join(one) for one in known()]
    words = [*CLASSES, *dotted] if classes else dotted
    if name.startswith(NEW):
        if not all(name.removeprefix(NEW).split(".")):
            yield Problem(path, f"{quote(name)} names no member", "names with a dot between them")
    elif name not in words:
        yield Problem(path, f"{quote(name)} is no documented member", _expected(name, words))


def changed_member_problems(name: str, path: str, *, removed: bool) -> Iterator[Problem]:
    """The same for a member that is to be masked, hashed or `removed`."""
    yield from name_problems(name, path)
    member = name.removeprefix(NEW)
    if member in KEPT:
        yield Problem(path, f"every event keeps its {member}", "another member")
    elif removed and member in STAYING:
        yield Problem(path, f"every event keeps its {member}", "mask or hash in place of remove")


def _expected(name: str, words: list[str]) -> str:
    meant = closest_match(name, words)
    likely = quote(meant) if meant else 'a member such as "user.email"'
    return f"{likely}, or {quote(NEW + name)} where it is a new one"


def _paths(members: Members, before: Path = ()) -> Iterator[Path]:
    for name, shape in members.items():
        yield (*before, name)
        if isinstance(shape, Mapping):
            yield from _paths(shape, (*before, name))
