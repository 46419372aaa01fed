"""Everything that 1Password, a SIEM or a person writes is text on every page and in every export."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import pytest
from support.indexed_events import ANA, BO, CLIENT, CollectedEvents, index_all
from support.values import SOURCE

from blocks import clock
from blocks.events_api.models import Api
from blocks.health import ERROR, Condition
from blocks.store import health, sources, tables
from blocks.store.insight.counted_days import count_stale_days
from deployments.console.app import PAGES

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from support.console_client import ConsoleClient

MARKUP = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'><b>&amp;"
CONTROLS = "\x1b[31m\x1b]0;title\x07\u202e\u2066\u200b\x00\x85\ufeff"
FORMULA = "=cmd|' /C calc'!A0"
TEMPLATE = "{{ 7 * 7 }}{% if %}${x}"
HOSTILE = f"{FORMULA}{MARKUP}{CONTROLS}{TEMPLATE}"
HOUR_NS = 3600 * 10**9


def hostile(value: Any) -> Any:
    """The same with every string replaced."""
    if isinstance(value, dict):
        return {name: hostile(one) for name, one in value.items()}
    return HOSTILE if isinstance(value, str) else value


@pytest.fixture
def filled(store: Engine) -> Engine:
    """A source whose every word, and that of its events, is hostile; an event of each API in the last hour."""
    now_ns = clock.now_ns()
    words = {"description": HOSTILE.replace("\x00", ""), "category": MARKUP}
    events = CollectedEvents(store, replace(SOURCE, name=f"{MARKUP}{CONTROLS.replace(chr(0), '')}", **words))
    made = {"client": hostile(CLIENT), "location": {"country": HOSTILE, "city": HOSTILE}, HOSTILE: HOSTILE}
    people = dict.fromkeys(("user", "target_user", "actor_details"), hostile(ANA)) | {"aux_details": hostile(BO)}
    words_of = ("category", "type", "action", "object_type", "country")
    ids_of = ("vault_uuid", "item_uuid", "object_uuid", "aux_uuid", "actor_uuid", "aux_info")
    made |= people | dict.fromkeys((*words_of, *ids_of), HOSTILE)
    made |= {"details": {"value": HOSTILE}, "session": {"ip": HOSTILE, "uuid": HOSTILE, "device_uuid": HOSTILE}}
    for number in range(3):
        at = now_ns - (number + 1) * 600 * 10**9
        events.sign_in(f"s{number}{MARKUP}", at, **made)
        events.item_usage(f"i{number}{MARKUP}", at, **made)
        events.audit(f"a{number}{MARKUP}", at, **made)
    index_all(store)
    while count_stale_days(store, 100):
        pass
    text = HOSTILE.replace("\x00", "")
    with store.begin() as connection:
        bad = Condition("error/audit", "ThirdPartyConfigError", ERROR, text, value=text, hint=text)
        health.begin(connection, SOURCE.id, bad)
        stream_id = events.stream_id(Api.AUDIT)
        item = {"stream_id": stream_id, "received_ns": now_ns, "reason": text, "digest": b"1", "body": HOSTILE.encode()}
        connection.execute(tables.table_of(tables.QuarantinedItemRow).insert(), item)
        seen = {"stream_id": stream_id, "kind": "value", "path": text, "value": text, "seen_ns": now_ns}
        connection.execute(tables.table_of(tables.UndocumentedValueRow).insert(), seen)
    sources.save_state(store, SOURCE.id, "ThirdPartyConfigError", text, "run")
    return store


class Structure(HTMLParser):
    """The elements of a page, and what of them could run."""

    def __init__(self) -> None:
        super().__init__()
        self.dangers: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        own = (given.get("src") or "").startswith("/console/static/")
        if (tag in {"script", "img"} and not own) or tag in {"iframe", "object", "embed", "b", "style"}:
            self.dangers.append(f"<{tag} {given}>")
        for name, value in attrs:
            if name.startswith("on") or name == "style" or "javascript:" in (value or "").lower():
                self.dangers.append(f"<{tag} {name}={value!r}>")


def dangers(page: str) -> list[str]:
    parser = Structure()
    parser.feed(page)
    return parser.dangers + [repr(one) for one in sorted(set(page)) if not one.isprintable() and one not in "\n\u00a0"]


def addresses(engine: Engine) -> list[str]:
    """Every page: those that take a parameter with those of the filled store."""
    with engine.connect() as connection:
        event_id = connection.exec_driver_sql("SELECT min(id) FROM events").scalar_one()
    given = {"id": SOURCE.id, "event:int": str(event_id), "name:path": "unknown", "export": "none"}
    found = set()
    for module in PAGES:
        for route in module.ROUTES:
            if "GET" in (route.methods or ()):
                found.add(re.sub(r"{([\w:]+)}", lambda match: given[match[1]], route.path))
    filters = ("user", "ip", "country", "action", "vault", "item", "client", "q", "person")
    searches = {
        f"/events?last=all&event={event_id}",
        "/events?last=all",
        "/insight?last=120d",
        "/events/counts?last=all",
    }
    return sorted(found | searches | {f"/events?last=all&{name}=%3Cscript%3E%1B%E2%80%AE" for name in filters})


def test_no_page_holds_anything_but_text(filled: Engine, operator: ConsoleClient) -> None:
    shown = 0
    for path in addresses(filled):
        answer = operator.get(f"/console{path}")
        assert answer.status_code in {200, 400, 404}, path
        if "html" in answer.headers["content-type"]:
            assert dangers(answer.text) == [], path
            shown += "&lt;script&gt;alert(1)" in answer.text
    assert shown >= 8, "pages that show the hostile text, escaped"


def test_an_error_page_holds_nothing_but_text(filled: Engine, operator: ConsoleClient) -> None:
    for path in (
        "/sources/%3Cscript%3E",
        "/siems/%3Cscript%3Ealert(1)",
        "/nothing/%1B%5B31m%3Cb%3E",
        "/actions/%3Cb%3E",
    ):
        assert dangers(operator.get(f"/console{path}").text) == [], path


def test_an_export_as_csv_starts_no_formula(filled: Engine, operator: ConsoleClient) -> None:
    answer = operator.get("/console/events/export?format=csv&last=all")
    assert answer.headers["content-disposition"].startswith("attachment")
    assert answer.headers["content-type"].startswith("text/csv")
    cells = [cell for row in csv.reader(io.StringIO(answer.text)) for cell in row]
    assert any("cmd|" in cell for cell in cells)
    assert [cell for cell in cells if cell[:1] in "=+-@\t\r" and cell[:1] and not re.fullmatch(r"-?[\d.]+", cell)] == []


def test_an_export_as_ndjson_holds_the_bodies_as_they_came(filled: Engine, operator: ConsoleClient) -> None:
    answer = operator.get("/console/events/export?format=ndjson&last=all")
    bodies = [json.loads(line) for line in answer.text.splitlines()]
    assert len(bodies) == 9
    assert all(HOSTILE in json.dumps(body, ensure_ascii=False) or HOSTILE in body.values() for body in bodies)
    assert "html" not in answer.headers["content-type"]


def test_a_body_is_never_a_page(filled: Engine, operator: ConsoleClient) -> None:
    """Downloaded byte for byte, it must not be shown as HTML by any browser."""
    with filled.connect() as connection:
        event_id = connection.exec_driver_sql("SELECT min(id) FROM events").scalar_one()
    answer = operator.get(f"/console/events/{event_id}/body")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "html" not in answer.headers["content-type"]
    assert "default-src 'none'" in answer.headers["content-security-policy"]
