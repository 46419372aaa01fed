"""Fault injection: the kinds of faults, and which fault a request meets.

Add a fault with `POST /_sandbox/faults` or `--fault`:

    {"kind": "429", "api": "auditevents", "times": 3, "skip": 1, "on": "cursor", "version": 2, "retry_after": 2}

`api` is one of the three, `introspect`, or null for all four. `skip` requests pass before it begins, `times`
requests meet it (null: until it is removed). `on` limits it to `first` pages or to pages requested by `cursor`. The
rest are the kind's own options. Of several that fit a request, the oldest meets it; one of stage `answer` and one
of stage `page` can both be there.

Kinds of stage `item` affect events, not requests: while one is present, each `every`th event in order of
arrival (number 0, `every`, twice that, …; `times` of them, null for all) is served altered, the same way on each
page of each request and in `GET /_sandbox/events/{api}`. So what was collected can be compared with what was
served, as long as the fault is not added or removed between the two.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from deployments.sandbox.vocabulary import APIS

if TYPE_CHECKING:
    from collections.abc import Mapping

TARGETS = (*APIS, "introspect")
_COMMON = frozenset({"kind", "api", "times", "skip", "on", "version", "every"})


@dataclass(frozen=True)
class FaultKind:
    """The stage of a fault (`answer`, `page` or `item`), its effect, and its options with their defaults."""

    stage: str
    meaning: str
    options: Mapping[str, object] = field(default_factory=dict)
    on: str = "any"


def _status(meaning: str, form: str, on: str = "any", **options: object) -> FaultKind:
    return FaultKind("answer", meaning, {"form": form, "retry_after": None, **options}, on)


KINDS: dict[str, FaultKind] = {
    "400": _status("400 Bad Request", "json"),
    "401": _status("401 Unauthorized", "json"),
    "403": _status("403 Forbidden", "json"),
    "404": _status("404 as plain text", "text"),
    "408": _status("408 Request Timeout", "text"),
    "425": _status("425 Too Early", "text"),
    "429": _status(
        "429; options retry_after (seconds or an HTTP date), form (json, v1, v2, text, html, empty)", "json"
    ),
    "500": _status("500 with a JSON error", "json"),
    "502": _status("502 with an HTML page", "html"),
    "503": _status("503 with a proxy's plain text", "text"),
    "504": _status("504 with an HTML page", "html"),
    "rejected_cursor": _status("400 to every request with a cursor", "json", on="cursor", status=400),
    "rejected_first": _status("400 to every first request", "json", on="first", status=400),
    "revoked": _status("401 to everything, as after the token was revoked", "json", status=401),
    "lost_scope": FaultKind(
        "scope", "the API is no longer among the token's features: 401, and introspection shows it"
    ),
    "reset": FaultKind(
        "answer", "the connection is reset (TCP RST); option sent: bytes of a page before it", {"sent": 0}
    ),
    "stall": FaultKind("answer", "no answer until the client gives up; option after_headers", {"after_headers": False}),
    "truncated": FaultKind(
        "answer", "the body ends before its content-length; option sent: how many bytes come", {"sent": 300}
    ),
    "bad_json": FaultKind("answer", "200, application/json, and a body that is not JSON"),
    "html": FaultKind("answer", "200 with an HTML page, as a captive portal sends it"),
    "redirect": FaultKind(
        "answer",
        "a redirect to another host; options status, location",
        {"status": 302, "location": "https://events.example.invalid/"},
    ),
    "oversized": FaultKind(
        "answer",
        "a valid page of `bytes` bytes; options gzip (small until unpacked), chunked (no content-length)",
        {"bytes": 100_000_000, "gzip": False, "chunked": False},
    ),
    "body": FaultKind(
        "answer",
        "any answer; options status, body, content_type",
        {"status": 200, "body": "", "content_type": "application/json"},
    ),
    "delay": FaultKind("page", "the page comes `seconds` later", {"seconds": 1.0}),
    "empty_page": FaultKind("page", "an empty page with has_more and a new cursor; the events come after it"),
    "endless_pages": FaultKind("page", "empty pages with has_more and ever new cursors, until removed"),
    "stuck_cursor": FaultKind("page", "an empty page with has_more and the cursor that was sent"),
    "repeated_page": FaultKind("page", "the page with has_more and the cursor that was sent, so it comes again"),
    "duplicates": FaultKind(
        "page",
        "`count` events twice within the page, and `count` of the page before again; "
        "option where: both, within, between",
        {"count": 3, "where": "both"},
    ),
    "omitted": FaultKind(
        "page", "the page without its last `count` events: its cursor leaves them behind", {"count": 1}
    ),
    "reversed": FaultKind("page", "the page's events in reverse order"),
    "null_items": FaultKind("page", "an empty page with `items` null; the events come after it"),
    "no_items": FaultKind("page", "an empty page without `items`; the events come after it"),
    "no_cursor": FaultKind("page", "the page without `cursor`"),
    "no_has_more": FaultKind("page", "the page without `has_more`"),
    "unknown_members": FaultKind("item", "new members, nested ones too"),
    "unknown_values": FaultKind("item", "new values of category, type, action and object_type"),
    "huge_numbers": FaultKind("item", "numbers beyond 64 bits and beyond a double"),
    "nul_escapes": FaultKind("item", r"\u0000 in strings"),
    "lone_surrogates": FaultKind("item", r"\ud800 alone in strings"),
    "no_uuid": FaultKind("item", "uuid absent, null, a number or empty, in turn"),
    "unreadable_time": FaultKind("item", "timestamp a word, absent, null, a number or no such day, in turn"),
    "not_an_object": FaultKind("item", "null, a number, a string, a list or true instead of the event, in turn"),
    "big_event": FaultKind("item", "a member of `bytes` bytes", {"bytes": 1_000_000}),
}
DEFAULT_EVERY = 10
_CHOICES = {"form": ("json", "v1", "v2", "text", "html", "empty"), "where": ("both", "within", "between")}


class BadFaultError(Exception):
    """What is wrong with a requested fault."""


@dataclass
class InjectedFault:
    """`met` counts the requests that met the fault; `passed` those that passed because of `skip`."""

    id: int
    kind: str
    api: str | None
    times: int | None
    skip: int
    on: str
    version: int | None
    every: int
    options: dict[str, Any]
    met: int = 0
    passed: int = 0

    @property
    def stage(self) -> str:
        return KINDS[self.kind].stage

    def fits(self, api: str, version: int, shape: str) -> bool:
        return self.api in (None, api) and self.version in (None, version) and self.on in ("any", shape)

    def strike(self) -> bool:
        """True if this request meets the fault. Counts it."""
        if self.passed < self.skip:
            self.passed += 1
            return False
        if self.times is not None and self.met >= self.times:
            return False
        self.met += 1
        return True

    def alters(self, number: int) -> bool:
        nth, rest = divmod(number, self.every)
        return rest == 0 and (self.times is None or nth < self.times)

    def as_json(self) -> dict[str, object]:
        return {**vars(self), "stage": self.stage}


class FaultInjector:
    def __init__(self) -> None:
        self._faults: dict[int, InjectedFault] = {}
        self._issued = 0

    def inject(self, request: Mapping[str, Any]) -> InjectedFault:
        fault = _read_fault(self._issued + 1, request)
        self._issued = fault.id
        self._faults[fault.id] = fault
        return fault

    def remove(self, fault_id: int) -> bool:
        return self._faults.pop(fault_id, None) is not None

    def clear(self) -> None:
        self._faults.clear()

    def all(self) -> list[InjectedFault]:
        return list(self._faults.values())

    def meet(self, stage: str, api: str, version: int, shape: str) -> InjectedFault | None:
        """The fault that this request meets, or None. Counts it."""
        for fault in self._faults.values():
            if fault.stage == stage and fault.fits(api, version, shape) and fault.strike():
                return fault
        return None

    def of_items(self, api: str) -> list[InjectedFault]:
        return [fault for fault in self._faults.values() if fault.stage == "item" and fault.api in (None, api)]

    def lost_scopes(self) -> frozenset[str]:
        lost = [fault.api for fault in self._faults.values() if fault.kind == "lost_scope"]
        return frozenset(APIS) if None in lost else frozenset(api for api in lost if api)


def _read_fault(fault_id: int, wanted: Mapping[str, Any]) -> InjectedFault:
    name = str(wanted.get("kind"))
    kind = KINDS.get(name)
    if kind is None:
        raise BadFaultError(f"there is no fault {name!r}; there are: {', '.join(KINDS)}")
    unknown = wanted.keys() - _COMMON - kind.options.keys()
    if unknown:
        options = ", ".join(kind.options) or "none"
        raise BadFaultError(f"fault {name!r} has no option {min(unknown)!r}; its options: {options}")
    return InjectedFault(
        id=fault_id,
        kind=name,
        api=_one_of(wanted, "api", (None, *TARGETS)),
        times=_count(wanted, "times", None, 0),
        skip=_count(wanted, "skip", 0, 0) or 0,
        on=_one_of(wanted, "on", ("any", "first", "cursor")) if wanted.get("on") else kind.on,
        version=_one_of(wanted, "version", (None, 1, 2)),
        every=_count(wanted, "every", DEFAULT_EVERY, 1) or DEFAULT_EVERY,
        options={key: _option(wanted, key, default) for key, default in kind.options.items()},
    )


def _option(wanted: Mapping[str, Any], name: str, default: object) -> Any:
    """A known choice, or a value of the default's type. An option without a default takes any value."""
    value = wanted.get(name, default)
    if name in _CHOICES:
        return _one_of({name: value}, name, _CHOICES[name])
    alike = isinstance(value, (int, float) if isinstance(default, float) else type(default))
    if default is not None and not alike:
        raise BadFaultError(f"{name} must be like {default!r}, not {value!r}")
    return value


def _one_of(wanted: Mapping[str, Any], name: str, allowed: tuple[Any, ...]) -> Any:
    value = wanted.get(name)
    if value not in allowed:
        raise BadFaultError(f"{name} must be one of {', '.join(str(one) for one in allowed)}, not {value!r}")
    return value


def _count(wanted: Mapping[str, Any], name: str, default: int | None, least: int) -> int | None:
    value = wanted.get(name, default)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise BadFaultError(f"{name} must be a whole number of at least {least}, not {value!r}")
    return value
