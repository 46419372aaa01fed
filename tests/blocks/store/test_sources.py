"""What the store keeps of a source: its configuration, its streams, its state, its account, and requests to end."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text
from support.forwarding import Pair
from support.moving_clock import START_NS
from support.values import SOURCE

from blocks.errors import ClaimLostError, ThirdPartyConfigError, TokenError
from blocks.events_api.models import Api
from blocks.store import health, sources, streams
from blocks.store.claim_expiry import CLAIM_NS
from blocks.store.engine import writing
from blocks.store.forwarding import positions
from blocks.store.sources import ScopeChanges

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Engine
    from support.moving_clock import MovingClock

    from blocks.store.sources import SourceRecord
    from blocks.store.streams import StreamClaim

    Rows = Callable[[str], list[tuple[object, ...]]]

AUDIT_SCOPES = frozenset({"auditevents"})
AUDIT = replace(SOURCE, apis=(Api.AUDIT,))


def reported(engine: Engine) -> list[tuple[str, str, str, str]]:
    return [(e.name, e.severity, e.status, e.tracker) for e in health.unpublished(engine, SOURCE.id)]


def names(engine: Engine) -> list[str]:
    return [event.name for event in health.unpublished(engine, SOURCE.id)]


def records(rows: Rows) -> list[tuple[object, object, Any]]:
    """What the audit log holds, in order."""
    found = rows("SELECT action, source_name, details FROM audit_log ORDER BY id")
    return [(action, name, json.loads(str(details))) for action, name, details in found]


# Its configuration


def test_a_new_source_is_kept_with_all_that_its_block_says(engine: Engine, moving: MovingClock, rows: Rows) -> None:
    source = replace(
        SOURCE,
        apis=(Api.AUDIT, Api.SIGN_IN),
        collect_from="7d",
        lag_after="1h",
        token_expires_ns=9,
        processing_rules={"filters": [{"name": "a"}]},
    )
    assert sources.save(engine, source) is False
    assert rows(
        "SELECT id, name, description, category, fields, base_url, apis, api_version, collect_from, fingerprint, "
        "lag_after, processing_rules, token_expires_ns, state, state_message, created_ns, deleted_ns FROM sources"
    ) == [
        (
            SOURCE.id,
            "1Pass",
            None,
            "sec/1password",
            '{"team":"blue"}',
            "https://events.1password.com",
            '["audit","sign-in"]',
            "v2",
            "7d",
            "first",
            "1h",
            '{"filters":[{"name":"a"}]}',
            9,
            "Pending",
            "",
            START_NS,
            None,
        )
    ]
    assert sorted(rows("SELECT source_id, api FROM streams")) == [(SOURCE.id, "audit"), (SOURCE.id, "sign-in")]
    assert records(rows) == [
        (
            "create",
            "1Pass",
            {
                "category": "sec/1password",
                "fields": '{"team":"blue"}',
                "base_url": "https://events.1password.com",
                "apis": '["audit","sign-in"]',
                "api_version": "v2",
                "collect_from": "7d",
                "lag_after": "1h",
                "processing_rules": '{"filters":[{"name":"a"}]}',
            },
        )
    ]
    assert sources.created_ns(engine, SOURCE.id) == START_NS


def test_an_empty_text_is_recorded_and_a_missing_one_is_not(engine: Engine, rows: Rows) -> None:
    sources.save(engine, replace(SOURCE, description="", category=None))
    ((_, _, details),) = records(rows)
    assert (details["description"], "category" in details) == ("", False)


def test_a_source_that_is_saved_again_unchanged_is_no_change(engine: Engine, source: SourceRecord, rows: Rows) -> None:
    change(engine, "paused_ns = 2, due_ns = 3, state = 'Collected', state_message = '3 new events.'")
    assert sources.save(engine, source) is False
    assert rows("SELECT paused_ns, due_ns, state, state_message FROM sources") == [(2, 3, "Collected", "3 new events.")]
    assert [action for action, _, _ in records(rows)] == ["create"]
    assert rows("SELECT count(*) FROM streams") == [(3,)]


def test_each_changed_member_is_recorded_with_what_it_was_and_is(
    engine: Engine, moving: MovingClock, source: SourceRecord, rows: Rows
) -> None:
    moving.advance(60)
    assert sources.save(engine, replace(source, description="new", lag_after="2h", fingerprint="second")) is True
    assert records(rows)[1:] == [
        ("configure", "1Pass", {"changes": {"description": [None, "new"], "lag_after": [None, "2h"]}})
    ]
    assert rows("SELECT description, lag_after, fingerprint FROM sources") == [("new", "2h", "second")]
    assert sources.created_ns(engine, source.id) == START_NS


def test_a_changed_token_is_recorded_as_stars_and_its_expiry_not_at_all(
    engine: Engine, source: SourceRecord, rows: Rows
) -> None:
    assert sources.save(engine, replace(source, fingerprint="second")) is True
    assert sources.save(engine, replace(source, fingerprint="second", token_expires_ns=9)) is False
    assert records(rows)[1:] == [("configure", "1Pass", {"changes": {"token": ["********", "********"]}})]


def test_the_name_stays_and_further_apis_get_streams(engine: Engine, rows: Rows) -> None:
    sources.save(engine, AUDIT)
    sources.save(engine, replace(SOURCE, name="other", apis=(Api.SIGN_IN,)))
    assert rows("SELECT name, apis FROM sources") == [("1Pass", '["sign-in"]')]
    assert sorted(rows("SELECT api FROM streams")) == [("audit",), ("sign-in",)]
    assert records(rows)[1][1] == "1Pass"


def test_another_source_of_the_same_name_is_an_error(engine: Engine, source: SourceRecord) -> None:
    with pytest.raises(ThirdPartyConfigError) as raised:
        sources.save(engine, replace(SOURCE, id="2" * 32))
    assert (raised.value.code, str(raised.value)) == (
        "name-taken",
        (
            "There is another source named '1Pass' in the store. Give this one another name; `onepassword-source list` "
            "shows those that are taken."
        ),
    )
    assert sources.ids_by_name(engine) == {"1Pass": SOURCE.id}


@pytest.mark.parametrize(("rules", "goes_on"), [({"filters": [{"name": "a"}]}, False), ({}, True)])
def test_a_forwarder_with_other_processing_rules_loses_its_claim(
    engine: Engine,
    rules: dict[str, Any],
    goes_on: bool,
) -> None:
    pair = Pair.create(engine)
    pair.filled.commit(Api.AUDIT, 2)
    claim = pair.claim()
    sources.save(engine, replace(SOURCE, description="new", processing_rules=rules))
    if goes_on:
        positions.advance(engine, claim, None, [])
    else:
        with pytest.raises(ClaimLostError):
            positions.advance(engine, claim, None, [])


# A deleted source


def change(engine: Engine, values: str) -> None:
    with engine.begin() as connection:
        connection.execute(text(f"UPDATE sources SET {values}"))


def test_a_deleted_source_is_saved_again_only_to_revive_it(
    engine: Engine, source: SourceRecord, moving: MovingClock, rows: Rows
) -> None:
    change(engine, "deleted_ns = 1, paused_ns = 2, due_ns = 3, state = 'Deleted', state_message = 'gone'")
    with pytest.raises(ThirdPartyConfigError) as raised:
        sources.save(engine, replace(source, description="new"))
    assert (raised.value.code, str(raised.value)) == (
        "deleted",
        "Source '1Pass' was deleted. `onepassword-source apply FILE` creates it again.",
    )
    assert rows("SELECT description FROM sources") == [(None,)]
    moving.advance(5)
    assert sources.save(engine, source, revive=True) is False
    query = "SELECT deleted_ns, paused_ns, due_ns, state, state_message FROM sources"
    assert rows(query) == [(None, None, START_NS + 5 * 10**9, "Pending", "")]


def test_a_source_that_is_being_purged_is_not_revived(engine: Engine, source: SourceRecord) -> None:
    change(engine, "deleted_ns = 1, state = 'Purging'")
    with pytest.raises(ThirdPartyConfigError) as raised:
        sources.save(engine, source, revive=True)
    assert str(raised.value) == (
        "Source '1Pass' was deleted, and is being purged. Finish it with `onepassword-source delete 1Pass --purge`; "
        "then `apply` can create it again."
    )
    with pytest.raises(ThirdPartyConfigError, match=r"^Source '1Pass' was deleted\. `onepassword-source apply FILE`"):
        sources.save(engine, source)


@pytest.mark.parametrize("revive", [False, True])
def test_the_id_of_a_purged_source_is_never_used_again(engine: Engine, source: SourceRecord, revive: bool) -> None:
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM streams"))
        connection.execute(text("DELETE FROM sources"))
        connection.execute(text("UPDATE audit_log SET action = 'purge'"))
    with pytest.raises(ThirdPartyConfigError) as raised:
        sources.save(engine, source, revive=revive)
    assert str(raised.value) == "Source '1Pass' was deleted. `onepassword-source apply FILE` creates it again."
    sources.save(engine, replace(source, id="2" * 32))
    assert sources.ids_by_name(engine) == {"1Pass": "2" * 32}


def test_an_id_that_was_never_purged_may_be_used_again(engine: Engine, source: SourceRecord) -> None:
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM streams"))
        connection.execute(text("DELETE FROM sources"))
    sources.save(engine, source)
    assert sources.ids_by_name(engine) == {"1Pass": SOURCE.id}


# Names


def test_names_and_ids_lead_to_each_other(engine: Engine, source: SourceRecord) -> None:
    sources.save(engine, replace(SOURCE, id="2" * 32, name="other"))
    change(engine, "deleted_ns = 1")
    assert sources.ids_by_name(engine) == {"1Pass": SOURCE.id, "other": "2" * 32}
    assert sources.names_by_id(engine) == {SOURCE.id: "1Pass", "2" * 32: "other"}
    assert sources.name_of(engine, "2" * 32) == "other"
    assert sources.name_of(engine, "3" * 32) is None


# Its state


def test_the_state_that_a_run_reports_is_kept_and_is_one_span(
    engine: Engine, source: SourceRecord, moving: MovingClock, rows: Rows
) -> None:
    sources.save_state(engine, SOURCE.id, "Collected", "3 new events.", "run-1")
    assert rows("SELECT state, state_ns, state_message, run_id FROM sources") == [
        ("Collected", START_NS, "3 new events.", "run-1")
    ]
    assert rows("SELECT state, runs FROM state_spans") == [("Collected", 1)]


def test_a_late_report_does_not_revive_a_deleted_source(engine: Engine, source: SourceRecord, rows: Rows) -> None:
    change(engine, "deleted_ns = 1, state = 'Deleted'")
    sources.save_state(engine, SOURCE.id, "Collected", "", "run-1")
    assert rows("SELECT state FROM sources") == [("Deleted",)]
    assert rows("SELECT count(*) FROM state_spans") == [(0,)]


# Its account and scopes


def test_the_account_is_pinned_when_it_is_first_reported(engine: Engine, source: SourceRecord, rows: Rows) -> None:
    sources.save_introspection(engine, SOURCE.id, AUDIT_SCOPES, None)
    sources.save_introspection(engine, SOURCE.id, AUDIT_SCOPES, "A")
    sources.save_introspection(engine, SOURCE.id, AUDIT_SCOPES, None)
    assert rows("SELECT account_uuid FROM sources") == [("A",)]
    sources.save_introspection(engine, SOURCE.id, AUDIT_SCOPES, "A")
    with pytest.raises(TokenError, match=r"account B, but .* those of account A\..* --new-account") as raised:
        sources.save_introspection(engine, SOURCE.id, frozenset(), "B")
    assert raised.value.code == "account"
    assert names(engine) == [], "what a foreign token may read is not noted"


def test_scopes_lost_and_gained_are_reported(engine: Engine, source: SourceRecord) -> None:
    both = frozenset({"auditevents", "itemusages"})
    sources.save_introspection(engine, SOURCE.id, both, None)
    lost = sources.save_introspection(engine, SOURCE.id, AUDIT_SCOPES, None)
    gained = sources.save_introspection(engine, SOURCE.id, both, None)
    sources.save_introspection(engine, SOURCE.id, both, None)
    assert (lost.lost, gained.gained) == ({"itemusages"}, {"itemusages"})
    assert reported(engine) == [
        ("ScopeLost", "Warning", "UnHealthy", "scope/itemusages"),
        ("ScopeGained", "Warning", "Healthy", "scope/itemusages"),
    ]


def test_two_sources_of_one_account_report_each_other(engine: Engine, source: SourceRecord, rows: Rows) -> None:
    sources.save(engine, replace(SOURCE, id="other", name="Other"))
    sources.save_introspection(engine, "other", AUDIT_SCOPES, "A")
    for _ in range(2):
        sources.save_introspection(engine, SOURCE.id, AUDIT_SCOPES, "A")
    assert names(engine) == ["SharedAccount"]
    assert "collected by Other too" in health.unpublished(engine, SOURCE.id)[0].description
    with writing(engine) as connection:
        connection.exec_driver_sql("UPDATE sources SET deleted_ns = 1 WHERE id = 'other'")
    sources.save_introspection(engine, SOURCE.id, AUDIT_SCOPES, "A")
    assert names(engine) == ["SharedAccount", "Recovered"]


def test_the_first_introspection_changes_no_scope(engine: Engine, source: SourceRecord, rows: Rows) -> None:
    both = frozenset({"signinattempts", "auditevents"})
    assert sources.save_introspection(engine, SOURCE.id, both, None) == ScopeChanges(frozenset(), frozenset())
    assert rows("SELECT scopes, account_uuid FROM sources") == [('["auditevents","signinattempts"]', None)]
    assert names(engine) == []


def test_an_account_that_is_unpinned_drops_the_cursors_and_the_claims(
    engine: Engine, claim: StreamClaim, rows: Rows
) -> None:
    sources.save_introspection(engine, SOURCE.id, AUDIT_SCOPES, "A")
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE streams SET cursor = 'c', cursor_ns = 1, cursor_version = 'v2', drained_ns = 2")
        )
    sources.unpin_account(engine, SOURCE.id)
    assert rows("SELECT account_uuid, scopes FROM sources") == [(None, None)]
    query = "SELECT DISTINCT cursor, cursor_ns, cursor_version, drained_ns FROM streams"
    assert rows(query) == [(None, None, None, None)]
    with pytest.raises(ClaimLostError):
        streams.renew(engine, claim)


# Requests to end, which are for the runs that were opened before, whatever the clock does


def test_a_run_ends_that_was_opened_before_the_request_and_a_later_one_goes_on(
    engine: Engine, source: SourceRecord, moving: MovingClock
) -> None:
    opened_ns = moving.now_ns()
    assert not sources.stop_requested(engine, source.id, opened_ns)
    moving.advance(1)
    sources.request_stop(engine, source.id)
    assert sources.stop_requested(engine, source.id, opened_ns)
    moving.advance(1)
    assert not sources.stop_requested(engine, source.id, moving.now_ns())


def test_a_run_that_is_opened_after_the_clock_was_set_back_goes_on(
    engine: Engine, source: SourceRecord, moving: MovingClock
) -> None:
    sources.request_stop(engine, source.id)
    for seconds in (-600, -6600):
        moving.advance(seconds)
        assert not sources.stop_requested(engine, source.id, moving.now_ns())


@pytest.mark.parametrize(("ahead_ns", "ends"), [(CLAIM_NS, True), (CLAIM_NS + 1, False)])
def test_a_request_dated_further_ahead_than_a_claim_lasts_is_for_no_run(
    engine: Engine,
    source: SourceRecord,
    moving: MovingClock,
    ahead_ns: int,
    ends: bool,
) -> None:
    change(engine, f"stop_ns = {START_NS + ahead_ns}")
    assert sources.stop_requested(engine, SOURCE.id, START_NS) is ends


def test_a_request_is_dated_and_ends_the_run_of_the_same_moment(
    engine: Engine, source: SourceRecord, moving: MovingClock
) -> None:
    assert sources.request_stop(engine, SOURCE.id) == START_NS
    assert sources.stop_requested(engine, SOURCE.id, START_NS)
    assert not sources.stop_requested(engine, SOURCE.id, START_NS + 1)
