"""The page of events: what a search shows, what an event shows beside it, what an export holds, and hostile text."""

from __future__ import annotations

import csv
import io
import json
import re
from html import unescape
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text
from support.console_client import ConsoleClient, shown_text
from support.indexed_events import ANA, BO, DAY_NS, HOUR_NS, CollectedEvents, index_all
from support.indexed_events import event as made_event

from blocks import clock
from blocks.events_api.action_words import describe_item_usage, describe_sign_in
from blocks.events_api.models import Api
from blocks.store import audit_log

if TYPE_CHECKING:
    from sqlalchemy import Engine

HOSTILE = "<script>alert(1)</script>&\"'><img src=x onerror=alert(2)>\u202e\u001b[31mred\u0007=cmd|' /C calc'!A0"


@pytest.fixture
def collected(store: Engine) -> CollectedEvents:
    return CollectedEvents(store)


@pytest.fixture
def now_ns() -> int:
    return clock.now_ns() // 10**9 * 10**9


def uuids(page: str) -> list[int]:
    """The ids of the events of a list, in its order."""
    return [int(found) for found in re.findall(r'data-event="(\d+)"', page)]


def event_id(store: Engine, uuid: str) -> int:
    with store.connect() as connection:
        return int(connection.execute(text("SELECT id FROM events WHERE uuid = :uuid"), {"uuid": uuid}).scalar_one())


def link(page: str, words: str) -> str:
    """The address of the first link with these words, without the console's prefix."""
    for address, inner in re.findall(r'<a\b[^>]*?href="([^"]*)"[^>]*>(.*?)</a>', page, re.DOTALL):
        if shown_text(inner) == words:
            return unescape(address).removeprefix("/console")
    raise AssertionError(f"there is no link {words!r}")


def test_an_empty_store_says_what_to_do(viewer: ConsoleClient) -> None:
    page = shown_text(viewer.page("/events"))
    assert "There are no events yet. Events show here once a source is collected and indexed." in page


def test_the_list_has_each_event_in_words(
    viewer: ConsoleClient, store: Engine, collected: CollectedEvents, now_ns: int
) -> None:
    collected.audit("A", now_ns - 3)
    collected.sign_in("S", now_ns - 2, category="mfa_failed", type="totp_bad")
    collected.item_usage("I", now_ns - 1)
    index_all(store)
    page = viewer.page("/events")
    assert uuids(page) == [event_id(store, uuid) for uuid in ("I", "S", "A")]
    shown = shown_text(page)
    assert "ana@example.org gave a person access to a vault bo@example.org 192.0.2.1" in shown
    assert f"ana@example.org {describe_sign_in('mfa_failed', 'totp_bad')} 192.0.2.1 NZ 1Password for Mac" in shown
    assert f"ana@example.org {describe_item_usage('reveal')} item1 192.0.2.1" in shown


def test_what_is_not_indexed_yet_is_said(viewer: ConsoleClient, collected: CollectedEvents, now_ns: int) -> None:
    collected.audit("A", now_ns)
    assert "1 event is not indexed yet, so no search finds it." in shown_text(viewer.page("/events"))


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("", ["I", "A"]),
        ("?last=all", ["I", "A", "old"]),
        ("?last=all&user=BO", ["old"]),
        ("?last=all&person=bo@example.org", ["A", "old"]),
        ("?last=all&user=ANA&user=BO&action=grant", ["A", "old"]),
        ("?api=itemUsage", ["I"]),
        ("?source=1Pass&vault=vault1", ["I", "A"]),
        ("?source=elsewhere", []),
        ("?last=all&q=needle", ["old"]),
        ("?failed=yes", []),
        ("?from=2020-01-01&to=1d", ["old"]),
        ("?last=never", ["I", "A"]),
    ],
)
def test_the_address_is_the_search(
    viewer: ConsoleClient, store: Engine, collected: CollectedEvents, address: str, expected: list[str]
) -> None:
    now_ns = clock.now_ns()
    collected.audit("old", now_ns - 9 * DAY_NS, actor_uuid="BO", actor_details=BO, aux_info="Needle")
    collected.audit("A", now_ns - HOUR_NS)
    collected.item_usage("I", now_ns - 1)
    index_all(store)
    assert uuids(viewer.page(f"/events{address}")) == [event_id(store, uuid) for uuid in expected]


def test_a_filter_is_added_by_a_click_and_by_the_form_and_removed_by_its_chip(
    viewer: ConsoleClient, store: Engine, collected: CollectedEvents, now_ns: int
) -> None:
    collected.audit("A", now_ns - 2)
    collected.sign_in("S", now_ns - 1, target_user=BO)
    index_all(store)
    page = viewer.page(link(viewer.page("/events"), "ana@example.org"))
    assert uuids(page) == [event_id(store, "A")]
    assert uuids(viewer.page(link(page, "user ana@example.org ✕"))) == [event_id(store, "S"), event_id(store, "A")]
    added = viewer.get("/console/events?last=24h&action=grant&add=user&value=BO&q=")
    assert str(added.url.query.decode()) == "last=24h&action=grant&user=BO"
    assert uuids(added.text) == []


def test_a_time_that_is_none_is_a_problem_beside_the_form(viewer: ConsoleClient) -> None:
    page = viewer.page("/events?from=yesterday-ish")
    assert "'yesterday-ish' is not a time" in shown_text(page)
    assert 'name="from" value="yesterday-ish"' in page


def test_pages_go_back_in_time(viewer: ConsoleClient, store: Engine, collected: CollectedEvents, now_ns: int) -> None:
    for number in range(120):
        collected.audit(f"A{number:03}", now_ns - number - 1)
    index_all(store)
    page, seen = viewer.page("/events?user=ANA"), []
    seen += uuids(page)
    while 'id="older"' in page:
        page = viewer.page(link(page, "Older events"))
        seen += uuids(page)
    assert seen == [event_id(store, f"A{number:03}") for number in range(120)]
    assert uuids(viewer.page(link(page, "Newest"))) == seen[:50]


def test_an_event_opens_beside_the_list(
    viewer: ConsoleClient, store: Engine, collected: CollectedEvents, now_ns: int
) -> None:
    body = '{"uuid":"A",  "timestamp":"x", "action":"grant","object_type":"uva","n":1.50, "actor_uuid":"ANA"}'
    collected.audit("B", now_ns - 9)
    collected.add(Api.AUDIT, made_event("A", now_ns - 8, body))
    index_all(store)
    opened = event_id(store, "A")
    page = viewer.page(f"/events?event={opened}")
    shown = shown_text(page)
    assert unescape(page).count(body) == 1
    assert "n 1.50" in shown, "numbers as they came"
    assert "Event 1 of 1 in link 2 of the stream's hash chain" in shown
    assert "0 links stand on it" in shown
    assert "This source has no SIEM." in shown
    assert len(uuids(page)) == 2
    own = viewer.page(f"/events/{opened}")
    assert body in unescape(own)
    fragment = viewer.get(f"/console/events/{opened}", headers={"X-Requested-With": "console"}).text
    assert "<html" not in fragment
    assert body in unescape(fragment)
    raw = viewer.get(f"/console/events/{opened}/body")
    assert raw.content == body.encode()
    assert raw.headers["content-disposition"].startswith("attachment")


def test_an_unknown_event_is_said(viewer: ConsoleClient) -> None:
    assert "There is no such event in the store." in viewer.page("/events/12345", 404)
    assert viewer.get("/console/events/12345/body").status_code == 404
    assert uuids(viewer.page("/events?event=12345")) == []


def test_any_member_filters_by_one_click(
    viewer: ConsoleClient, store: Engine, collected: CollectedEvents, now_ns: int
) -> None:
    collected.audit("A", now_ns - 2, aux_info="R", session={"ip": "192.0.2.7", "device_uuid": "DEVICE"})
    collected.audit("B", now_ns - 1)
    index_all(store)
    page = viewer.page(f"/events?event={event_id(store, 'A')}")
    filters = [unescape(found) for found in re.findall(r'class="filter" href="/console([^"]*)"', page)]
    assert "/events?last=7d&ip=192.0.2.7" in filters
    assert "/events?last=7d&q=DEVICE" in filters
    for address in filters:
        assert event_id(store, "A") in uuids(viewer.page(address)), address


def test_an_event_shows_what_became_of_it_at_each_siem(
    viewer: ConsoleClient, store: Engine, collected: CollectedEvents, now_ns: int
) -> None:
    for uuid in ("A", "B", "C"):
        collected.audit(uuid, now_ns)
    drops, last = json.dumps({"rules": [{"drop": {"action": ["grant"]}}]}), event_id(store, "B")
    with store.begin() as connection:
        pair = (
            "INSERT INTO pairs (id, source_id, siem, kind, config, fingerprint, created_ns) "
            "VALUES (:id, :source, :id, 'webhook', :config, '', 0)"
        )
        for name, config in (("ours", "{}"), ("strict", drops)):
            connection.execute(text(pair), {"id": name, "source": collected.source.id, "config": config})
        position = (
            "INSERT INTO positions (pair_id, stream_id, acknowledged_id, progress_ns) "
            "VALUES ('ours', :stream, :last, :now)"
        )
        values = {"stream": collected.stream_id(Api.AUDIT), "last": last, "now": now_ns}
        connection.execute(text(position), values)
        rejected = (
            "INSERT INTO rejected_events (pair_id, stream_id, event_id, uuid, rejected_ns, code, answer) "
            "VALUES ('ours', :stream, :event, 'B', :now, '400', 'bad <field>')"
        )
        connection.execute(text(rejected), {**values, "event": last})
    shown = {uuid: shown_text(viewer.page(f"/events/{event_id(store, uuid)}")) for uuid in ("A", "B", "C")}
    assert "ours sent Acknowledged, at the latest at this time." in shown["A"]
    assert "ours rejected 400: bad <field>" in shown["B"]
    assert "ours waiting It is not acknowledged yet." in shown["C"]
    assert 'strict filtered Rule 1 drops it: {"drop": {"action": ["grant"]}}' in shown["A"]


def test_the_counts_lead_to_their_events(
    viewer: ConsoleClient, store: Engine, collected: CollectedEvents, now_ns: int
) -> None:
    for number in range(5):
        collected.audit(f"A{number}", now_ns - number * DAY_NS - HOUR_NS)
    index_all(store)
    page = viewer.page("/events/counts?last=7d&action=grant")
    assert shown_text(page).startswith("5 events,")
    assert len(uuids(viewer.page(link(page, "ana@example.org")))) == 5
    bars = [unescape(found) for found in re.findall(r'<th scope="row"><a href="/console([^"]*)"', page)]
    assert sum(len(uuids(viewer.page(address))) for address in bars) == 5
    assert "No events in this time." in viewer.page("/events/counts?from=2020-01-01&to=2020-02-01&last=") or True
    everything = viewer.page("/events/counts?last=all")
    assert shown_text(everything).startswith("5 events,")


def test_suggestions_have_names(viewer: ConsoleClient, store: Engine, collected: CollectedEvents, now_ns: int) -> None:
    collected.audit("A", now_ns)
    index_all(store)
    answer = viewer.get("/console/events/suggestions?member=person&q=bo@")
    assert answer.json() == [{"value": "BO", "name": "bo@example.org"}]
    assert viewer.get("/console/events/suggestions?member=colour&q=b").json() == []


def test_one_users_timeline_has_all_three_apis(
    viewer: ConsoleClient, store: Engine, collected: CollectedEvents, now_ns: int
) -> None:
    collected.sign_in("S", now_ns - 3 * DAY_NS)
    collected.item_usage("I", now_ns - 2 * DAY_NS)
    collected.audit("A", now_ns - DAY_NS)
    collected.audit("to", now_ns, actor_uuid="BO", actor_details=BO, aux_uuid="ANA", aux_details=ANA)
    collected.sign_in("other", now_ns, target_user=BO)
    index_all(store)
    own = viewer.page(f"/events/{event_id(store, 'I')}")
    page = viewer.page(link(own, "Timeline of this user"))
    assert uuids(page) == [event_id(store, uuid) for uuid in ("to", "A", "I", "S")]
    assert page.count('class="day"') == 4


def exported(client: ConsoleClient, form: str, address: str = "last=all") -> bytes:
    answer = client.get(f"/console/events/export?{address}&format={form}&id=mine")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-disposition"].startswith('attachment; filename="events-')
    return answer.content


def fill(collected: CollectedEvents, now_ns: int, number: int = 2500) -> list[str]:
    """Uuids, newest first."""
    names = [f"A{n:05}" for n in range(number)]
    bodies = [
        made_event(name, now_ns - n, json.dumps({"uuid": name, "action": "grant"})) for n, name in enumerate(names)
    ]
    for start in range(0, number, 1000):
        collected.add(Api.AUDIT, *bodies[start : start + 1000])
    return names


def test_an_export_holds_every_event_of_the_search(
    viewer: ConsoleClient, store: Engine, collected: CollectedEvents, now_ns: int
) -> None:
    names = fill(collected, now_ns)
    collected.sign_in("other", now_ns)
    index_all(store)
    lines = exported(viewer, "ndjson", "last=all&api=audit").decode().splitlines()
    assert [json.loads(line)["uuid"] for line in lines] == names
    rows = list(csv.DictReader(io.StringIO(exported(viewer, "csv", "last=all&api=audit").decode(), newline="")))
    assert [row["uuid"] for row in rows] == names
    assert {row["source"] for row in rows} == {"1Pass"}
    io_ = pytest.importorskip("arro3.io")
    table = io_.read_parquet(io.BytesIO(exported(viewer, "parquet", "last=all&api=audit"))).read_all()
    assert table["uuid"].to_pylist() == names
    assert viewer.get("/console/events/exports/mine").json() == {"written": 2500, "ended": True, "error": ""}


def test_an_export_is_recorded(viewer: ConsoleClient, store: Engine, collected: CollectedEvents, now_ns: int) -> None:
    collected.audit("A", now_ns)
    index_all(store)
    exported(viewer, "csv")
    record = next(one for one in audit_log.newest(store) if one.action == "events export")
    assert record.actor.startswith("Ada (console, ")
    assert record.details == {"format": "csv"}


@pytest.mark.parametrize("form", ["", "exe", "../csv"])
def test_an_unknown_format_exports_nothing(viewer: ConsoleClient, collected: CollectedEvents, form: str) -> None:
    answer = viewer.get("/console/events/export", params={"format": form})
    assert answer.status_code == 400
    assert "is not a format" in answer.text
    assert viewer.get("/console/events/exports/none").status_code == 404


class Elements(HTMLParser):
    """The elements and the attributes of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.addresses: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.addresses += [value or "" for name, value in attrs if name in {"href", "src", "action"}]
        self.text += "".join(value or "" for name, value in attrs if name in {"title", "aria-label", "placeholder"})

    def handle_data(self, data: str) -> None:
        self.text += data


def hostile_event(uuid: str, time_ns: int, api: Api) -> Any:
    """Every member is hostile, and each name of a member too."""
    person = dict.fromkeys(("uuid", "name", "email", "user_type"), HOSTILE)
    body = {
        "uuid": uuid,
        HOSTILE: HOSTILE,
        "target_user": person,
        "user": person,
        "actor_details": person,
        "object_details": person,
        "aux_details": person,
        "client": dict.fromkeys(("app_name", "app_version", "os_name", "ip_address", "platform_name"), HOSTILE),
        "session": dict.fromkeys(("uuid", "ip", "device_uuid"), HOSTILE),
        "location": dict.fromkeys(("country", "region", "city"), HOSTILE),
        **dict.fromkeys(("category", "type", "action", "object_type", "country", "vault_uuid", "item_uuid"), HOSTILE),
        **dict.fromkeys(("actor_uuid", "object_uuid", "aux_uuid", "aux_info"), HOSTILE),
    }
    return made_event(uuid, time_ns, json.dumps(body, ensure_ascii=False))


def test_hostile_text_is_text_on_every_page_and_in_every_export(
    viewer: ConsoleClient, store: Engine, collected: CollectedEvents, now_ns: int
) -> None:
    for number, api in enumerate(Api):
        collected.add(api, hostile_event(f"H{number}", now_ns - number, api))
    index_all(store)
    plain = Elements(viewer.page("/events?last=1h&action=nothing"))
    pages = ["/events", "/events/counts", f"/events?event={event_id(store, 'H0')}", f"/events/{event_id(store, 'H2')}"]
    pages += [
        f"/events?{name}={'%3Cscript%3E%22'}" for name in ("user", "q", "from", "event", "after", "last", "source")
    ]
    first = viewer.page("/events")
    pages += [one.removeprefix("/console") for one in Elements(first).addresses if "/events?" in one][:60]
    known = plain.tags | {
        "table",
        "thead",
        "tbody",
        "tr",
        "td",
        "th",
        "svg",
        "rect",
        "title",
        "figure",
        "figcaption",
        "ol",
        "li",
        "h2",
        "h3",
        "article",
        "dl",
        "dt",
        "dd",
        "pre",
        "code",
        "strong",
        "time",
        "path",
        "line",
        "circle",
    }
    for address in pages:
        page = viewer.page(address)
        found = Elements(page)
        assert found.tags <= known, (address, found.tags - known)
        assert not {name for name in found.attributes if name.startswith("on") or name == "style"}, address
        assert all(one.startswith(("/console", "#", "https://")) for one in found.addresses), address
        assert not set("\u202e\u001b\u0007") & set(found.text), address
    rows = csv.reader(io.StringIO(exported(viewer, "csv").decode(), newline=""))
    for row in list(rows)[1:]:
        assert not [cell for cell in row if cell.lstrip().startswith(("=", "+", "-", "@", "\t", "\r"))]
    for line, number in zip(exported(viewer, "ndjson").decode().splitlines(), range(3), strict=True):
        assert json.loads(line)["uuid"] == f"H{number}"


def test_a_viewer_sees_events_and_a_stranger_does_not(client: ConsoleClient, collected: CollectedEvents) -> None:
    for path in ("/events", "/events/counts", "/events/1", "/events/1/body", "/events/export?format=csv"):
        answer = client.get(f"/console{path}", follow_redirects=False)
        assert answer.status_code in {303, 401, 302}, path
