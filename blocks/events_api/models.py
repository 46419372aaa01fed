"""What we read of the Events API: the three APIs, a page of events, an introspection."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from whenever import Instant

from blocks.errors import ThirdPartyGenericError
from blocks.events_api.schema_drift import LOOSE, Drift, KnownSchema, PageDrift

if TYPE_CHECKING:
    from collections.abc import Iterator

TIME_NS_MAX = 2**63 - 1  # what a 64-bit column holds
ITEMS_MAX = 10_000  # a page has at most a thousand; a bound for what a broken server can make us hold
UUID_MAX = 200  # a PostgreSQL index entry must stay under 2.7 kB; 1Password's own have 26 characters


class Api(StrEnum):
    """One of the three APIs, under the name that the configuration gives it."""

    SIGN_IN = "sign-in"
    ITEM_USAGE = "itemUsage"
    AUDIT = "audit"

    # Of the text, as its equality: an enumeration's own is a function in Python, which each event would call.
    __hash__ = str.__hash__

    @property
    def path(self) -> str:
        """The last part of its URL; also the name of the scope (feature) that a token needs for it."""
        return _PATHS[self]

    @property
    def view(self) -> str:
        """The name of the SQL view with its events."""
        return _VIEWS[self]


_PATHS = {Api.SIGN_IN: "signinattempts", Api.ITEM_USAGE: "itemusages", Api.AUDIT: "auditevents"}
_VIEWS = {Api.SIGN_IN: "sign_in_attempts", Api.ITEM_USAGE: "item_usages", Api.AUDIT: "audit_events"}


class Event(NamedTuple):
    """One event: its id, its time in nanoseconds since 1970 (UTC), and its JSON exactly as the server sent it."""

    uuid: str
    time_ns: int
    body: str


class InvalidItem(NamedTuple):
    """An item of a page that cannot be stored as an event, byte for byte, and why."""

    reason: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Page:
    """One answer of the Events API. `cursor` is where the next request goes on.

    `unknown` is what the events hold that is not documented, each once; they are events like any other.
    """

    cursor: str
    has_more: bool
    events: list[Event]
    invalid_items: list[InvalidItem]
    unknown: tuple[Drift, ...] = ()


@dataclass(frozen=True, slots=True)
class Introspection:
    """The introspection of a token. `account_uuid` is in v2 only, and not in that of old servers."""

    uuid: str
    scopes: frozenset[str]
    account_uuid: str | None

    def allows(self, api: Api) -> bool:
        return api.path in self.scopes


class _Envelope(msgspec.Struct):
    cursor: str
    has_more: bool
    items: list[msgspec.Raw] | None = None


class _LooseEnvelope(msgspec.Struct):
    cursor: str
    has_more: bool


class _Introspection(msgspec.Struct):
    uuid: str = ""
    uuid_v1: str = msgspec.field(default="", name="UUID")
    features: list[str] | msgspec.UnsetType | None = msgspec.UNSET
    features_v1: list[str] | msgspec.UnsetType | None = msgspec.field(default=msgspec.UNSET, name="Features")
    account_uuid: str | None = None


_envelope = msgspec.json.Decoder(_Envelope)
_loose_envelope = msgspec.json.Decoder(_LooseEnvelope)
_introspection = msgspec.json.Decoder(_Introspection)


def read_page(content: bytes, api: Api, schema: KnownSchema | None = None) -> Page:
    """Cut a response into events, each body byte for byte as it came.

    What `schema` has named before is not named again. Raises ThirdPartyGenericError where the response is not a page.
    An item that is not an event never does: it comes back as rejected, with the reason.
    """
    cursor, has_more, items = _cut(content)
    if not cursor or "\0" in cursor:
        raise _not_a_page("it has no usable cursor")
    if len(items) > ITEMS_MAX:
        raise _too_many_items()
    watch = PageDrift(schema or KnownSchema(), api.path)
    try:
        return Page(cursor, has_more, _read_at_once(items, watch), invalid_items=[])
    except (ValueError, RecursionError):  # msgspec's errors and UnicodeDecodeError are ValueErrors
        events, rejected = _read_one_by_one(items, watch)
    return Page(cursor, has_more, events, rejected, tuple(watch.found))


_event = partial(tuple.__new__, Event)  # three times as fast as Event(), and there are many


def _read_at_once(items: list[bytes], watch: PageDrift) -> list[Event]:
    """Read a page without drift and without invalid items. Raises ValueError if it may have some."""
    decode = watch.decoder.decode
    uuids, times = [], []
    for item in items:  # one by one: a thousand heads at once do not fit a processor's cache beside a busy database
        head = decode(item)
        uuids.append(head.uuid)
        times.append(Instant.parse_iso(head.timestamp).timestamp(unit="nanosecond"))
    if _have_invalid_uuid(uuids) or max(map(abs, times), default=0) > TIME_NS_MAX:
        raise ValueError("an item is to be rejected")
    return list(map(_event, zip(uuids, times, [item.decode() for item in items], strict=True)))


def _have_invalid_uuid(uuids: list[str]) -> bool:
    return not all(uuids) or max(map(len, uuids), default=0) > UUID_MAX or not "".join(uuids).isprintable()


def _read_one_by_one(items: list[bytes], watch: PageDrift) -> tuple[list[Event], list[InvalidItem]]:
    events: list[Event] = []
    rejected: list[InvalidItem] = []
    for item in items:
        try:
            read = _read_event(item, watch.decoder)
        except (ValueError, RecursionError):
            read = _read_unusual(item, watch)
        if isinstance(read, InvalidItem):
            rejected.append(read)
        else:
            events.append(read)
    return events, rejected


def _read_event(item: bytes, decoder: msgspec.json.Decoder[Any]) -> Event | InvalidItem:
    head = decoder.decode(item)
    event = Event(head.uuid, Instant.parse_iso(head.timestamp).timestamp(unit="nanosecond"), item.decode())
    reason = _uuid_problem(event.uuid) or _time_ns_problem(event.time_ns)
    return InvalidItem(reason, item) if reason else event


def _read_unusual(item: bytes, watch: PageDrift) -> Event | InvalidItem:
    """Read an item that the strict decoder rejected, mostly because of drift, which is no error."""
    try:
        read = _read_event(item, LOOSE)
    except (ValueError, RecursionError):
        read = _read_slowly(item)
    if isinstance(read, Event):
        watch.observe(read.body)
    return read


def read_item(item: bytes) -> Event | InvalidItem:
    """Read one item of a page by itself, such as one that an older version could not read."""
    return _read_slowly(item)


def _read_slowly(item: bytes) -> Event | InvalidItem:
    """Read it with the standard library, which accepts a lone surrogate escape. That is valid JSON."""
    try:
        value = _plain(item)
    except UnicodeDecodeError:
        return InvalidItem("not valid UTF-8", item)
    except RecursionError:
        return InvalidItem("nested too deeply", item)
    except ValueError as error:
        return InvalidItem(f"not valid JSON: {error}", item)
    if reason := _item_problem(value):
        return InvalidItem(reason, item)
    return Event(value["uuid"], Instant.parse_iso(value["timestamp"]).timestamp(unit="nanosecond"), item.decode())


def _item_problem(value: object) -> str:
    if not isinstance(value, dict):
        return "not a JSON object"
    return _uuid_problem(value.get("uuid")) or _timestamp_problem(value.get("timestamp"))


def _uuid_problem(uuid: object) -> str:
    if not uuid:
        return "no uuid"
    if not isinstance(uuid, str):
        return "uuid is not a string"
    if len(uuid) > UUID_MAX:
        return f"uuid is longer than {UUID_MAX} characters"
    if not uuid.isprintable():  # NUL and lone surrogates among them, which no database takes
        return "uuid holds characters that no id has"
    return ""


def _timestamp_problem(timestamp: object) -> str:
    if not isinstance(timestamp, str):
        return "no timestamp"
    try:
        return _time_ns_problem(Instant.parse_iso(timestamp).timestamp(unit="nanosecond"))
    except ValueError:
        return f"timestamp is not an RFC 3339 time: {timestamp[:40]!r}"


def _time_ns_problem(time_ns: int) -> str:
    return "" if -TIME_NS_MAX <= time_ns <= TIME_NS_MAX else "timestamp is outside the years 1678 to 2261"


def _plain(item: bytes) -> Any:
    # float accepts a number of any length, int does not
    return json.loads(item.decode(), parse_constant=_no_constant, parse_int=float)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _cut(content: bytes) -> tuple[str, bool, list[bytes]]:
    try:
        envelope = _envelope.decode(content)
        return envelope.cursor, envelope.has_more, [bytes(item) for item in envelope.items or ()]
    except (ValueError, RecursionError):
        return _cut_slowly(content)


# One strict parser for the whole page would let a single bad item stop its stream. So where it refuses, the page
# is cut by its strings and brackets alone, which works at any depth, and each item is judged by itself.
# A string without an end goes to the end of the page: no byte is looked at twice, whatever the page holds.
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)|[\[\]{},]', re.DOTALL)
_ITEMS = re.compile(rb'"items"[ \t\r\n]*+:[ \t\r\n]*+\[')
_STEPS = {b"[": 1, b"{": 1, b"]": -1, b"}": -1}


def _cut_slowly(content: bytes) -> tuple[str, bool, list[bytes]]:
    span = _span_of_items(content)
    if span is None:
        raise _not_a_page("it is not the JSON of a page")
    start, end, items = span
    try:
        envelope = _loose_envelope.decode(content[:start] + content[end:])
    except (ValueError, RecursionError) as error:
        raise _not_a_page("it is not the JSON of a page") from error
    return envelope.cursor, envelope.has_more, items


def _span_of_items(content: bytes) -> tuple[int, int, list[bytes]] | None:
    tokens = _TOKEN.finditer(content)
    start = _start_of_items(content, tokens)
    if start is None:
        return None
    items: list[bytes] = []
    at, depth = start, 0
    for token in tokens:
        kind = token.group()
        if depth or kind not in (b",", b"]", b"}"):
            depth += _STEPS.get(kind, 0)
            continue
        if item := content[at : token.start()].strip(b" \t\r\n"):
            items.append(item)
        if kind != b",":
            return start, token.start(), items
        at = token.end()
        if len(items) > ITEMS_MAX:
            raise _too_many_items()
    return None


def _start_of_items(content: bytes, tokens: Iterator[re.Match[bytes]]) -> int | None:
    depth = 0
    for token in tokens:
        if depth == 1 and (opening := _ITEMS.match(content, token.start())):
            next(tokens)  # the bracket that it ends with
            return opening.end()
        depth += _STEPS.get(token.group(), 0)
    return None


def read_introspection(content: bytes) -> Introspection:
    """Read an introspection of v2 (snake_case) or v1 (PascalCase). Raises ThirdPartyGenericError."""
    try:
        answer = _introspection.decode(content)
    except (ValueError, RecursionError) as error:
        raise _not_an_introspection() from error
    scopes = answer.features_v1 if answer.features is msgspec.UNSET else answer.features
    if scopes is msgspec.UNSET:
        raise _not_an_introspection()
    return Introspection(answer.uuid or answer.uuid_v1, frozenset(scopes or ()), answer.account_uuid or None)


def _not_an_introspection() -> ThirdPartyGenericError:
    return ThirdPartyGenericError(
        "The Events API answered the introspection with something else than JSON of the documented form.",
        hint="Check that base_url is a server of 1Password and that no proxy answers in its place: "
        "`onepassword-source check NAME`.",
        code="invalid-body",
    )


def _too_many_items() -> ThirdPartyGenericError:
    return _not_a_page(f"it has more than {ITEMS_MAX:,} items")


def _not_a_page(why: str) -> ThirdPartyGenericError:
    return ThirdPartyGenericError(
        f"The Events API answered 200, but not with a page of events: {why}.",
        hint="Nothing was stored and the cursor stays. The request is retried.",
        code="invalid-body",
    )
