"""The members of events as rules name them: a path with dots, or a class of personal data."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING

from blocks.events_api.vocabulary import EVENTS
from blocks.problems import Problem, closest_match, quote
from blocks.siem import added_names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from blocks.events_api.vocabulary import Members

Path = tuple[str, ...]

ADDED = tuple(added_names.MEMBERS.values())
"""Members that 1Password does not send: names beside ids, for SIEMs that get names."""
NEW = "new:"
"""The prefix of a member or a value that is not documented. It shows that the name is no typing error."""
CLASSES: Mapping[str, tuple[str, ...]] = {
    "@names": ("name", *ADDED),
    "@emails": ("email",),
    "@ips": ("ip", "ip_address"),
}
"""Classes of personal data. Each stands for all members with one of these names, in every API and version."""
PROTECTED = ("uuid", "timestamp")
"""Members that no rule may change: without them, an event can neither be identified nor found."""
NOT_REMOVABLE = ("account_uuid",)
"""Members that may be masked or hash_change, but not removed: an event without an account gets its source's account."""


@cache
def documented_paths() -> tuple[Path, ...]:
    """Return the path of every documented member of any API: objects and their members."""
    return tuple(sorted({path for members in EVENTS.values() for path in _paths(members)}))


@cache
def class_paths(name: str) -> tuple[Path, ...]:
    """Return the members that a class stands for."""
    paths = (*documented_paths(), *((member,) for member in ADDED))
    return tuple(path for path in paths if path[-1] in CLASSES[name])


def resolve(name: str) -> tuple[Path, ...]:
    """Return the paths that a checked name stands for, its own first. An id stands for its name, too."""
    if name in CLASSES:
        return class_paths(name)
    added = added_names.MEMBERS.get(name)
    return (tuple(name.removeprefix(NEW).split(".")), *(((added,),) if added else ()))


def name_problems(name: str, path: str, *, classes: bool = True) -> Iterator[Problem]:
    """Yield the problem of the member name at `path`. If `classes` is False, a class is a problem, too."""
    dotted = [".".join(one) for one in documented_paths()]
    words = [*CLASSES, *dotted, *ADDED] if classes else dotted
    if name.startswith(NEW):
        if not all(name.removeprefix(NEW).split(".")):
            yield Problem(path, f"{quote(name)} does not name a member", "names with dots between them")
    elif name not in words:
        yield Problem(path, f"{quote(name)} is not a documented member", _expected(name, words))


def changed_member_problems(name: str, path: str, *, removed: bool) -> Iterator[Problem]:
    """Yield the problems of a member that is to be masked, hash_change or `removed`."""
    yield from name_problems(name, path)
    member = name.removeprefix(NEW)
    if member in PROTECTED:
        yield Problem(path, f"every event keeps its {member}", "another member")
    elif removed and member in NOT_REMOVABLE:
        yield Problem(path, f"every event keeps its {member}", "mask or hash instead of remove")


def _expected(name: str, words: list[str]) -> str:
    similar = closest_match(name, words)
    likely = quote(similar) if similar else 'a member such as "user.email"'
    return f"{likely}, or {quote(NEW + name)} if it is new"


def _paths(members: Members, before: Path = ()) -> Iterator[Path]:
    for name, shape in members.items():
        yield (*before, name)
        if isinstance(shape, Mapping):
            yield from _paths(shape, (*before, name))
