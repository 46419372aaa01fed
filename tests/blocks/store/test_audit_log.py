"""Who changed which configuration, from what to what; never a token."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from support.values import SOURCE

from blocks.events_api.models import Api
from blocks.store import audit_log, lifecycle, sources

if TYPE_CHECKING:
    from sqlalchemy import Engine


def test_a_new_source_is_recorded_with_its_configuration(engine: Engine) -> None:
    sources.save(engine, SOURCE)
    (record,) = audit_log.of_source(engine, SOURCE.id)
    assert (record.action, record.source_name) == ("create", SOURCE.name)
    assert record.details["base_url"] == SOURCE.base_url
    assert "fingerprint" not in record.details


def test_each_change_is_recorded_with_what_it_was_and_is(engine: Engine) -> None:
    sources.save(engine, SOURCE)
    sources.save(engine, replace(SOURCE, apis=(Api.AUDIT,), description="new", fingerprint="other"))
    record = audit_log.of_source(engine, SOURCE.id)[0]
    assert record.action == "configure"
    changes = record.details["changes"]
    assert changes.keys() == {"apis", "description"}
    assert changes["apis"][1] == '["audit"]'
    assert changes["description"] == [SOURCE.description, "new"]


def test_a_change_of_the_token_alone_shows_stars(engine: Engine) -> None:
    sources.save(engine, SOURCE)
    sources.save(engine, replace(SOURCE, fingerprint="of another token"))
    record = audit_log.of_source(engine, SOURCE.id)[0]
    assert record.details["changes"] == {"token": ["********", "********"]}


def test_a_run_that_finds_nothing_changed_records_nothing(engine: Engine) -> None:
    for _ in range(3):
        sources.save(engine, SOURCE)
    assert len(audit_log.of_source(engine, SOURCE.id)) == 1


def test_who_acts_through_the_console_is_recorded_and_other_threads_keep_their_own(engine: Engine) -> None:
    sources.save(engine, SOURCE)
    found = lifecycle.find(engine, SOURCE.name)
    assert found
    with audit_log.acting_as("Ada (console, 127.0.0.1)"):
        other = threading.Thread(target=lifecycle.pause, args=(engine, found))
        other.start()
        other.join()
        lifecycle.resume(engine, found)
    lifecycle.pause(engine, found)
    actors = [(record.action, record.actor) for record in audit_log.newest(engine)[:3]]
    own = audit_log.actor()
    assert "@" in own
    assert actors == [("stop", own), ("start", "Ada (console, 127.0.0.1)"), ("stop", own)]


def test_the_newest_come_first_and_no_more_than_wanted(engine: Engine) -> None:
    sources.save(engine, SOURCE)
    for number in range(5):
        sources.save(engine, replace(SOURCE, description=str(number)))
    shown = audit_log.newest(engine, 2)
    assert [record.details["changes"]["description"][1] for record in shown] == ["4", "3"]


def test_the_newest_record_of_an_action_of_each_source(engine: Engine) -> None:
    sources.save(engine, SOURCE)
    for number, source_id in ((1, SOURCE.id), (2, "other"), (3, SOURCE.id)):
        audit_log.append(engine, "verify", source_id, "a name", number=number)
    audit_log.append(engine, "check", SOURCE.id, "a name", number=4)
    found = audit_log.newest_of_sources(engine, "verify")
    assert {source_id: one.details["number"] for source_id, one in found.items()} == {SOURCE.id: 3, "other": 2}
    assert audit_log.newest_of_sources(engine, "prune") == {}
