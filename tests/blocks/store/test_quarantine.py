"""Items in quarantine: listed, tried again, discarded with a reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.chains import Filled
from support.values import SOURCE, require_proof

from blocks.errors import ThirdPartyConfigError
from blocks.events_api import models
from blocks.events_api.models import Api, Event, InvalidItem
from blocks.store import audit_log, quarantine, sources

if TYPE_CHECKING:
    from sqlalchemy import Engine


@pytest.fixture
def filled(engine: Engine) -> Filled:
    """Five events and three items that are none, of audit; one item of sign-in."""
    sources.save(engine, SOURCE)
    made = Filled(engine)
    made.commit(Api.AUDIT, 5, rejected=3)
    made.commit(Api.SIGN_IN, 1, rejected=1)
    return made


@pytest.fixture
def readable(monkeypatch: pytest.MonkeyPatch) -> None:
    """A newer version, which reads all items of audit but the first; the third is the second again."""

    def read_item(item: bytes) -> Event | InvalidItem:
        text = item.decode()
        number = int(text.split()[-1].rstrip('"}')) if "audit" in text else 0
        return Event(f"read-{min(number, 1)}", 1_700_000_000_000_000_000, text) if number else InvalidItem("no", item)

    monkeypatch.setattr(quarantine, "read_item", read_item)


def counts(filled: Filled) -> list[tuple[object, ...]]:
    return filled.ask("SELECT api, events, quarantined FROM streams WHERE events > 0 ORDER BY api")


def test_items_are_listed_page_by_page(filled: Filled) -> None:
    first = quarantine.list_page(filled.engine, SOURCE.id, size=3)
    rest = quarantine.list_page(filled.engine, SOURCE.id, first[-1].id, size=3)
    assert [one.api for one in [*first, *rest]] == ["audit"] * 3 + ["sign-in"]
    assert (first[0].reason, first[0].body) == ("no uuid", b'{"aside": "audit 0"}')
    assert quarantine.count(filled.engine, SOURCE.id) == 4
    assert quarantine.list_page(filled.engine, "other") == []


def test_what_can_be_read_now_becomes_events_of_the_chain(filled: Filled, readable: None) -> None:
    done = quarantine.retry(filled.engine, SOURCE.id)
    assert (done.stored, done.known, done.left) == (1, 1, 2)
    assert counts(filled) == [("audit", 6, 1), ("sign-in", 1, 1)]
    assert filled.ask("SELECT body FROM events WHERE uuid = 'read-1'") == [('{"aside": "audit 1"}',)]
    assert require_proof(filled.engine) == 3
    record = audit_log.newest(filled.engine, 1)[0]
    assert (record.action, record.details) == ("quarantine retry", {"stored": 1, "known": 1, "left": 2})


def test_only_the_chosen_are_tried(filled: Filled, readable: None) -> None:
    chosen = quarantine.list_page(filled.engine, SOURCE.id)[1].id
    assert quarantine.retry(filled.engine, SOURCE.id, [chosen, 999]).stored == 1
    assert quarantine.count(filled.engine, SOURCE.id) == 3


def test_many_items_are_tried_in_batches(filled: Filled, readable: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quarantine, "BATCH", 1)
    done = quarantine.retry(filled.engine, SOURCE.id)
    assert (done.stored, done.known, done.left) == (1, 1, 2)


def test_what_is_discarded_is_gone_and_recorded(filled: Filled) -> None:
    ids = [one.id for one in quarantine.list_page(filled.engine, SOURCE.id)]
    assert quarantine.discard(filled.engine, SOURCE.id, "a broken proxy", ids[:2]) == 2
    assert counts(filled) == [("audit", 5, 1), ("sign-in", 1, 1)]
    record = audit_log.newest(filled.engine, 1)[0]
    assert (record.action, record.details["items"], record.details["reason"]) == (
        "quarantine discard",
        2,
        "a broken proxy",
    )
    assert all(len(digest) == 64 for digest in record.details["sha256"])
    assert quarantine.discard(filled.engine, SOURCE.id, "all") == 2
    assert quarantine.list_page(filled.engine, SOURCE.id) == []


def test_the_last_item_ends_the_warning_of_its_api(filled: Filled) -> None:
    quarantine.discard(filled.engine, SOURCE.id, "x", [one.id for one in _items(filled, "audit")])
    open_trackers = filled.ask("SELECT tracker FROM conditions")
    assert open_trackers == [("quarantine/sign-in",)]
    assert filled.ask("SELECT name FROM health_events WHERE status = 'Healthy'") == [("Recovered",)]


def test_an_unknown_source_changes_nothing(filled: Filled) -> None:
    for call in (lambda: quarantine.retry(filled.engine, "x"), lambda: quarantine.discard(filled.engine, "x", "y")):
        with pytest.raises(ThirdPartyConfigError, match="no such source"):
            call()


def test_an_item_is_read_as_in_a_page() -> None:
    assert models.read_item(b'{"uuid":"A","timestamp":"2026-01-01T00:00:00Z"}')[0] == "A"
    assert models.read_item(b'{"uuid":"A"}') == InvalidItem("no timestamp", b'{"uuid":"A"}')
    assert models.read_item(b"\xff")[0] == "not valid UTF-8"


def _items(filled: Filled, api: str) -> list[Any]:
    return [one for one in quarantine.list_page(filled.engine, SOURCE.id) if one.api == api]
