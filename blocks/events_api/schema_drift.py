"""Finds members and values of events that the documented API does not know, at next to no cost where there are none.

A strict decoder, made from the vocabulary, reads what every event is read for, and refuses an event with anything
new. Only that event is then searched, its drift is named once, and a new decoder is made that accepts it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import lru_cache, reduce
from operator import or_
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast

import msgspec

from blocks.events_api.vocabulary import EVENTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from blocks.events_api.vocabulary import Members, Shape

NAMED_MAX = 50  # by one `Known`, of one API; an API that changed more than that is no longer the documented one
TEXT_MAX = 200  # characters of a path or value that are shown, and of a name that is learned
IDLE_MAX = 20  # events of a page that are walked through without news; each costs as much as reading ten


class Drift(NamedTuple):
    """A member, or a value of an enumeration, that is not documented: `client.new_thing`, or `category` and its value.

    Never what a new member holds. Where a documented member holds something of another kind than documented
    (an array for an object), it is a value, and the kind stands for it: `(array)`.
    """

    kind: Literal["member", "value"]
    path: str
    value: str = ""


class Head(msgspec.Struct, gc=False):
    """What is read of every event, whatever else it has."""

    uuid: str
    timestamp: str


class _Found(NamedTuple):
    kind: Literal["member", "value", "shape"]
    path: tuple[str, ...]
    value: str = ""


_Learned = frozenset[_Found]


@dataclass(frozen=True, slots=True)
class _OfApi:
    named: frozenset[Drift] = frozenset()
    learned: _Learned = frozenset()


class KnownSchema:
    """What is known of the APIs: what is documented, and what was named before. Each unknown is named once by one.

    Keep one for as long as what it names is sure to arrive: for one client, whose run ends where a page is not stored.
    Threads may share it; then two may name the same.
    """

    def __init__(self) -> None:
        self._apis = {api: _OfApi() for api in EVENTS}

    def decoder(self, api: str) -> msgspec.json.Decoder[Any]:
        """The decoder of an event's head. It raises ValueError for an unknown drift, too, until NAMED_MAX are named."""
        state = self._apis[api]
        return LOOSE if len(state.named) >= NAMED_MAX else _strict(api, state.learned)

    def learn(self, api: str, event: str) -> list[Drift]:
        """What of this event is not known yet; from now on it is."""
        state = self._apis[api]
        news: list[Drift] = []
        learned = set(state.learned)
        for found in _walk(_objects_of(event), EVENTS[api], ()):
            if len(state.named) + len(news) >= NAMED_MAX:
                break
            unknown = _shown(found)
            if unknown not in state.named and unknown not in news:
                news.append(unknown)
                learned |= {found} if _is_learnable(found) else set()
        self._apis[api] = _OfApi(state.named.union(news), frozenset(learned))
        return news


@dataclass(slots=True)
class PageDrift:
    """Gathers the unknown of one page."""

    known: KnownSchema
    api: str
    found: list[Drift] = field(default_factory=list)
    decoder: msgspec.json.Decoder[Any] = field(init=False)
    idle: int = 0

    def __post_init__(self) -> None:
        self.decoder = self.known.decoder(self.api)

    def observe(self, event: str) -> None:
        """Name the drift in an event that the decoder rejected."""
        if self.idle >= IDLE_MAX or self.decoder is LOOSE:
            return
        news = self.known.learn(self.api, event)
        if not news:
            self.idle += 1
            return
        self.found += news
        self.decoder = self.known.decoder(self.api)


def _is_learnable(found: _Found) -> bool:
    """Whether a decoder can be made that knows it. One with a stranger name is walked through again, a few a page."""
    text = found.path[-1] if found.kind == "member" else found.value
    return len(text) <= TEXT_MAX and text.isprintable() and not set(text) & {'"', "\\"}


def _shown(found: _Found) -> Drift:
    return Drift("member" if found.kind == "member" else "value", _cut(".".join(found.path)), _cut(found.value))


def _cut(text: str) -> str:
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text[:TEXT_MAX])


# The walk


class _Object(list[tuple[str, Any]]):
    """A JSON object with each of its members, also where a name stands twice."""


def _objects_of(event: str) -> Any:
    try:
        return json.loads(event, object_pairs_hook=_Object, parse_int=float)
    except (ValueError, RecursionError):
        return None


def _walk(value: object, shape: Shape, path: tuple[str, ...]) -> Iterator[_Found]:
    if value is None:
        return
    if isinstance(shape, frozenset) and isinstance(value, str):
        if value not in shape:
            yield _Found("value", path, value)
    elif shape is not None and not isinstance(shape, frozenset) and isinstance(value, _Object):
        yield from _walk_members(value, shape, path)
    elif shape is not None or isinstance(value, list):
        yield _Found("shape", path, _kind(value))


def _walk_members(value: _Object, members: Members, path: tuple[str, ...]) -> Iterator[_Found]:
    for name, inner in value:
        if name in members:
            yield from _walk(inner, members[name], (*path, name))
        else:
            yield _Found("member", (*path, name))


def _kind(value: object) -> str:
    return next(name for name, (kind, _) in _KINDS.items() if isinstance(value, kind))


_KINDS: dict[str, tuple[type, Any]] = {
    "(object)": (_Object, dict[str, msgspec.Raw]),
    "(array)": (list, list[msgspec.Raw]),
    "(string)": (str, str),
    "(boolean)": (bool, bool),
    "(number)": (float, int | float),
}


# The decoders


LOOSE = msgspec.json.Decoder(Head)


@lru_cache(maxsize=16)
def _strict(api: str, learned: _Learned) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(_struct(EVENTS[api], (), learned))


def _struct(members: Members, path: tuple[str, ...], learned: _Learned) -> type:
    fields: list[tuple[str, Any, Any]] = [
        (f"member_{number}", _type(shape, (*path, name), learned), msgspec.field(default=msgspec.UNSET, name=name))
        for number, (name, shape) in enumerate(members.items())
        if path or name not in Head.__struct_fields__
    ]
    news = sorted(found.path[-1] for found in learned if found.kind == "member" and found.path[:-1] == path)
    fields += [
        (f"new_{number}", msgspec.Raw, msgspec.field(default=msgspec.UNSET, name=name))
        for number, name in enumerate(news)
    ]
    bases = () if path else (Head,)
    return msgspec.defstruct("Known", fields, bases=bases, forbid_unknown_fields=True, gc=False)


def _type(shape: Shape, path: tuple[str, ...], learned: _Learned) -> Any:
    here = [found for found in learned if found.path == path]
    kinds = [_KINDS[found.value][1] for found in here if found.kind == "shape"]
    if shape is None:
        kinds += [str, int, float, bool]
    elif isinstance(shape, frozenset):
        values = shape.union(found.value for found in here if found.kind == "value")
        kinds.append(cast("Any", Literal)[tuple(sorted(values))])
    else:
        kinds.append(_struct(shape, path, learned))
    return reduce(or_, [*kinds, None])
