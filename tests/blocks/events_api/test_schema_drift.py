"""Members and values that the documented API does not know: each is named once, and none costs an event."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from blocks.events_api.client import EventsClient
from blocks.events_api.models import Api, Page, read_page
from blocks.events_api.schema_drift import IDLE_MAX, LOOSE, NAMED_MAX, TEXT_MAX, Drift, KnownSchema
from blocks.events_api.vocabulary import EVENTS
from deployments.sandbox.computed_history import BLOCK, ComputedHistory
from deployments.sandbox.cursors import CursorState
from deployments.sandbox.event_history import ArrivalPace
from deployments.sandbox.process import running_sandbox
from deployments.sandbox.sample_events import EventTime, make_body, random_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from deployments.sandbox.process import SandboxProcess

WHEN = EventTime(1772600767 * 10**9, "2026-03-04T05:06:07Z")
START_NS = 1577836800 * 10**9  # 2020-01-01
UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=60)
NEW = Drift("member", "new")


def page_of(*items: bytes) -> bytes:
    return b'{"cursor":"c","has_more":false,"items":[%b]}' % b",".join(items)


def read(api: Api, *items: bytes, known: KnownSchema | None = None) -> Page:
    """The page of these items, all of which are events and come back as they are."""
    page = read_page(page_of(*items), api, known)
    assert [one.body.encode() for one in page.events] == list(items)
    assert not page.invalid_items
    return page


def made(api: Api, number: int = 0, version: int = 2) -> bytes:
    body = make_body(1, api.path, number, random_for(1, api.path, number), WHEN)
    return body.v1 if version == 1 else body.v2


def altered(api: Api, **members: Any) -> bytes:
    """An event with these members; "client__os_name" is a member of the client."""
    event = json.loads(made(api, 1))
    for name, value in members.items():
        *outer, last = name.split("__")
        inner = event
        for one in outer:
            inner = inner.setdefault(one, {})
        inner[last] = value
    return json.dumps(event).encode()


def unknown(api: Api, **members: Any) -> tuple[Drift, ...]:
    return read(api, altered(api, **members)).unknown


# What is documented


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("api", Api)
def test_nothing_of_ordinary_events_is_unknown(api: Api, version: int) -> None:
    assert read(api, *(made(api, number, version) for number in range(1000))).unknown == ()
    bulk = ComputedHistory(2, api.path, ArrivalPace(events=BLOCK, until_ns=WHEN.ns, days=1, rate=0))
    found = bulk.read(CursorState(version, api.path, position=0, limit=BLOCK, start_ns=0), WHEN.ns)
    assert len(read(api, *found.bodies).events) == BLOCK
    assert read(api, *found.bodies).unknown == ()


@pytest.mark.parametrize(
    ("api", "members"),
    [
        (Api.SIGN_IN, {"type": "u2f_timout"}),
        (Api.SIGN_IN, {"details": None, "location": None, "client": None, "category": None}),
        (Api.SIGN_IN, {"details": {"value": "NZ"}}),
        (Api.SIGN_IN, {"user_type": "x", "user_account_uuid": "y", "account_uuid": "z"}),
        (Api.ITEM_USAGE, {"action": None, "user_type": "x", "user_account_uuid": "y"}),
        (Api.ITEM_USAGE, {"used_version": "3", "vault_uuid": 4, "item_uuid": True}),
        (Api.ITEM_USAGE, {"client": {}, "location": {"latitude": "1"}}),
        (Api.AUDIT, {"actor_type": "service_account", "user_type": "x", "aux_id": 2**70}),
        (Api.AUDIT, {"aux_details__user_type": "external_user", "object_details__user_account_uuid": "x"}),
    ],
)
def test_the_variants_that_are_documented_or_seen_are_known(api: Api, members: dict[str, Any]) -> None:
    assert unknown(api, **members) == ()


def test_an_event_with_nothing_but_its_head_is_known() -> None:
    head = b'{"uuid":"A","timestamp":"2026-03-04T05:06:07Z"}'
    assert all(read(api, head).unknown == () for api in Api)


# What is not


@pytest.mark.parametrize("api", Api)
@pytest.mark.parametrize("value", ["ana@example.org", 1, None, True, [], {"x": {"y": 1}}, "\ud800", 2**80])
def test_a_new_member_is_named_and_what_it_holds_is_not(api: Api, value: object) -> None:
    assert unknown(api, new=value) == (NEW,)


OBJECTS = [
    (api, name)
    for api in Api
    for name, shape in EVENTS[api.path].items()
    if shape is not None and not isinstance(shape, frozenset)
]
ENUMERATIONS = [(api, name) for api in Api for name, shape in EVENTS[api.path].items() if isinstance(shape, frozenset)]


@pytest.mark.parametrize(("api", "name"), OBJECTS)
def test_a_new_member_of_any_object_is_named(api: Api, name: str) -> None:
    event = altered(api, **{name: {"x.y": 1, "new": {"more": "ana@example.org"}}})
    assert set(read(api, event).unknown) == {Drift("member", f"{name}.x.y"), Drift("member", f"{name}.new")}
    assert_quick_again(api, event)


@pytest.mark.parametrize(("api", "name"), ENUMERATIONS)
def test_a_new_value_of_any_enumeration_is_named(api: Api, name: str) -> None:
    assert unknown(api, **{name: "of_tomorrow"}) == (Drift("value", name, "of_tomorrow"),)
    assert_quick_again(api, altered(api, **{name: "of_tomorrow"}))


def test_the_enumerations_are_those_that_are_documented() -> None:
    assert {(api.value, name, len(EVENTS[api.path][name] or ())) for api, name in ENUMERATIONS} == {
        ("sign-in", "category", 7),
        ("sign-in", "type", 32),
        ("itemUsage", "action", 11),
        ("audit", "action", 79),
        ("audit", "object_type", 30),
    }


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [
        ("client", "ana@example.org", "(string)"),
        ("client", 4, "(number)"),
        ("client", True, "(boolean)"),
        ("client", [{"app_name": "x"}], "(array)"),
        ("category", {"name": "success"}, "(object)"),
        ("category", ["success"], "(array)"),
        ("category", 5.5, "(number)"),
        ("category", False, "(boolean)"),
        ("country", {"code": "NZ"}, "(object)"),
        ("country", ["NZ"], "(array)"),
    ],
)
def test_a_member_of_another_type_is_reported_by_its_type_alone(name: str, value: object, kind: str) -> None:
    assert unknown(Api.SIGN_IN, **{name: value}) == (Drift("value", name, kind),)
    assert_quick_again(Api.SIGN_IN, altered(Api.SIGN_IN, **{name: value}))


def test_values_and_names_are_cut_and_printable() -> None:
    long = "x" * (TEXT_MAX + 1)
    assert unknown(Api.SIGN_IN, category=long) == (Drift("value", "category", long[:TEXT_MAX]),)
    assert unknown(Api.SIGN_IN, **{long: 1}) == (Drift("member", long[:TEXT_MAX]),)
    assert unknown(Api.SIGN_IN, type="a\0\ud800\nb\u202e") == (Drift("value", "type", "a\ufffd\ufffd\ufffdb\ufffd"),)
    assert unknown(Api.SIGN_IN, **{"client__a\ud800\x1b[1m": 1}) == (Drift("member", "client.a\ufffd\ufffd[1m"),)


def test_each_is_named_once_in_a_page() -> None:
    twice = [altered(Api.AUDIT, new=1, action="x"), altered(Api.AUDIT, action="y", new=2), made(Api.AUDIT, 3)] * 3
    news = read(Api.AUDIT, *twice).unknown
    assert sorted(news) == [NEW, Drift("value", "action", "x"), Drift("value", "action", "y")]


def test_both_of_two_members_of_one_name_are_looked_at() -> None:
    head = b'{"uuid":"A","timestamp":"2026-03-04T05:06:07Z"'
    event = head + b',"category":"x","category":"success","client":{"n":1,"n":2},"client":{},"new":1,"new":2}'
    news = [Drift("value", "category", "x"), Drift("member", "client.n"), NEW]
    assert read(Api.SIGN_IN, event).unknown == tuple(news)


def test_quarantined_items_are_not_checked_for_drift() -> None:
    page = read_page(page_of(b'{"uuid":"A","new":1}', b'{"x":NaN,"new":1}', made(Api.AUDIT)), Api.AUDIT)
    assert len(page.invalid_items) == 2
    assert page.unknown == ()


# What was named before


def test_what_was_named_is_not_named_again_of_that_api() -> None:
    known = KnownSchema()
    event = altered(Api.SIGN_IN, new=1)
    assert read(Api.SIGN_IN, event, known=known).unknown == (NEW,)
    assert read(Api.SIGN_IN, event, event, known=known).unknown == ()
    assert read(Api.SIGN_IN, altered(Api.SIGN_IN, new={}, newer=1), known=known).unknown == (Drift("member", "newer"),)
    assert read(Api.AUDIT, altered(Api.AUDIT, new=1), known=known).unknown == (NEW,)
    assert read(Api.SIGN_IN, event, known=KnownSchema()).unknown == (NEW,)


def assert_quick_again(api: Api, event: bytes) -> None:
    """A schema that has reported the drift of this event decodes such an event strictly."""
    known = KnownSchema()
    read(api, event, known=known)
    assert known.decoder(api.path).decode(event).uuid


NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@UNHURRIED
@given(NAMES, NAMES)
def test_whatever_is_new_is_named_once(name: str, value: str) -> None:
    event = altered(Api.SIGN_IN, type=value, client__x=1)
    event = event[:-1] + b"," + json.dumps(name).encode() + b":[]}"
    known = KnownSchema()
    first = read(Api.SIGN_IN, event, known=known).unknown
    assert len(set(first)) == len(first)
    assert Drift("member", "client.x") in first
    assert read(Api.SIGN_IN, event, event, known=known).unknown == ()


def test_no_more_than_a_bound_are_named_and_all_events_stay() -> None:
    known = KnownSchema()
    events = [altered(Api.AUDIT, **{f"new_{number}": 1, "action": f"x{number}"}) for number in range(2 * NAMED_MAX)]
    assert len(read(Api.AUDIT, *events, known=known).unknown) == NAMED_MAX
    assert read(Api.AUDIT, *events, altered(Api.AUDIT, newest=1), known=known).unknown == ()
    assert known.decoder(Api.AUDIT.path) is LOOSE  # nothing is refused any more, so nothing is walked through
    assert len(read(Api.AUDIT, altered(Api.AUDIT, **{f"n{number}": 1 for number in range(99)})).unknown) == NAMED_MAX


def test_looking_in_vain_has_an_end() -> None:
    odd = altered(Api.AUDIT, aux_info="\ud800")
    news = altered(Api.AUDIT, new=1)
    assert read(Api.AUDIT, *[odd] * (IDLE_MAX - 1), news, *[odd] * 100).unknown == (NEW,)
    assert read(Api.AUDIT, *[odd] * IDLE_MAX, news).unknown == ()
    assert read(Api.AUDIT, *[made(Api.AUDIT)] * 500, news).unknown == (NEW,)


# Any event: an oracle that looks at it in the slowest way

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2), max_leaves=5
)


@st.composite
def events(draw: st.DrawFn, api: Api) -> dict[str, Any]:
    event = json.loads(made(api, draw(st.integers(0, 400)), draw(st.sampled_from([1, 2]))))
    places = [event, *(value for value in event.values() if isinstance(value, dict))]
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.sampled_from(places))
        names = sorted(set(place) - {"uuid", "timestamp"})
        place[draw(st.sampled_from(names) | st.text(max_size=5) if names else st.text(max_size=5))] = draw(VALUES)
    return {**event, "uuid": "A", "timestamp": WHEN.text}


def expected(value: Any, shape: Any, path: str) -> Iterator[tuple[str, str]]:
    if value is None:
        return
    if isinstance(value, dict) and isinstance(shape, dict):
        for name, inner in value.items():
            below = f"{path}.{name}" if path else name
            yield from expected(inner, shape[name], below) if name in shape else [("member", below)]
    elif isinstance(shape, frozenset):
        yield from [] if isinstance(value, str) and value in shape else [("value", path)]
    elif isinstance(shape, dict) or isinstance(value, (dict, list)):
        yield "value", path


@UNHURRIED
@given(st.data(), st.sampled_from(list(Api)))
def test_whatever_events_hold_they_are_kept_and_their_news_named(data: st.DataObject, api: Api) -> None:
    drawn = data.draw(st.lists(events(api), max_size=4))
    written = [json.dumps(event, ensure_ascii=data.draw(st.booleans())).encode() for event in drawn]
    found = {(one.kind, one.path) for one in read(api, *written).unknown}
    wanted = {one for event in drawn for one in expected(event, EVENTS[api.path], "")}
    assert found == {(kind, "".join(c if c.isprintable() else "\ufffd" for c in path)) for kind, path in wanted}


ODD = st.sampled_from(
    [
        b'"new":"\\ud800"',
        b'"client":"\\udc00"',
        b'"client":{"os_name":"\\ud800","x":1}',
        b'"client":{"client":{"client":{}}}',
        b'"used_version":' + b"9" * 5000,
        b'"action":-1e999',
        b'"location":{"latitude":1e400,"latitude":"\\u0000"}',
        b'"user":[[[[{}]]]]',
        b'"user":{"uuid":{"uuid":{}}}',
        b'"new":' + b"[" * 200 + b"]" * 200,
        b'"client":' + b'{"client":' * 200 + b"1" + b"}" * 200,
        b'"action":"fill","action":"x","action":null',
        b'"\\ud800":1,"a.b":2,"":3',
        b'"\\u0061ction":"\\u0066ill"',
        b'"uuid":"B","uuid":"A"',
    ]
)


@UNHURRIED
@given(st.lists(st.lists(ODD, max_size=4), max_size=6), st.booleans())
def test_no_oddity_costs_an_event(oddities: list[list[bytes]], learned: bool) -> None:
    head = b'{"uuid":"A","timestamp":"2026-03-04T05:06:07Z"'
    known = KnownSchema()
    items = [b",".join([head, *members]) + b"}" for members in oddities]
    for _ in range(1 + learned):
        page = read(Api.ITEM_USAGE, *items, known=known)
        assert {(one.uuid, one.time_ns) for one in page.events} <= {("A", WHEN.ns)}


# What it costs


def with_new_members(api: Api, events: list[bytes]) -> list[bytes]:
    return [event[:-1] + b',"new":{"a":[1]}}' for event in events]


@pytest.mark.parametrize("alter", [lambda _api, events: events, with_new_members], ids=["known", "new everywhere"])
def test_most_of_a_page_is_not_walked_through(
    alter: Callable[[Api, list[bytes]], list[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    walked = []
    name = KnownSchema.learn
    monkeypatch.setattr(KnownSchema, "learn", lambda *given: walked.append(given) or name(*given))  # type: ignore[func-returns-value]
    items = alter(Api.AUDIT, [made(Api.AUDIT, number) for number in range(300)])
    read(Api.AUDIT, *items)
    assert len(walked) <= 1


def test_a_page_of_news_is_done_with_in_time() -> None:
    items = [altered(Api.AUDIT, **{f"n{number}_{place}": 1 for place in range(100)}) for number in range(500)]
    started = time.process_time()
    assert len(read(Api.AUDIT, *items).unknown) == NAMED_MAX
    assert time.process_time() - started < 2


# Through the client


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxProcess]:
    with running_sandbox(events=120, seed=3) as running:
        yield running


def pages(sandbox: SandboxProcess, api: Api, version: str) -> list[Page]:
    with EventsClient(sandbox.base_url, sandbox.token, api_version=version) as client:
        read = [client.first_page(api, START_NS, limit=10)]
        while read[-1].has_more:
            read.append(client.next_page(api, read[-1].cursor))
    return read


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("api", Api)
def test_a_client_names_each_once(sandbox: SandboxProcess, api: Api, version: str) -> None:
    assert {one for page in pages(sandbox, api, version) for one in page.unknown} == set()
    sandbox.fault("unknown_members", api=api.path, every=3)
    reported = [one for page in pages(sandbox, api, version) for one in page.unknown]
    assert sorted(reported) == [Drift("member", "x_flag"), Drift("member", "x_risk")]
    sandbox.clear_faults()
    sandbox.fault("unknown_values", api=api.path)
    reported = [one for page in pages(sandbox, api, version) for one in page.unknown]
    sandbox.clear_faults()
    names = {name for enumeration, name in ENUMERATIONS if enumeration is api}
    assert {one.path for one in reported} == names
    assert all(one.kind == "value" and one.value.endswith("_of_tomorrow") for one in reported)
    assert len(set(reported)) == len(reported)
