"""What reconcile and the watch for drift have found, as pages show it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from support.chains import Filled
from support.values import SOURCE

from blocks.events_api.models import Api
from blocks.store import reconcile_findings, sources

if TYPE_CHECKING:
    from sqlalchemy import Engine


@pytest.fixture
def filled(engine: Engine) -> Filled:
    sources.save(engine, SOURCE)
    made = Filled(engine)
    made.commit(Api.AUDIT, 3)
    return made


def test_marked_events_come_with_their_verdict_the_newest_finding_first(filled: Filled) -> None:
    filled.change(
        "INSERT INTO late_or_missed (stream_id, uuid, time_ns, found_ns, fence, verdict, decided_ns) VALUES "
        "({audit}, 'audit-000001', 7, 10, 0, 'late', 12), ({audit}, 'pruned', 8, 11, 0, NULL, NULL)"
    )
    first, second = reconcile_findings.marked_events(filled.engine, SOURCE.id)
    assert (first.uuid, first.verdict, first.event_id) == ("pruned", None, None)
    assert (second.uuid, second.verdict, second.decided_ns, second.api) == ("audit-000001", "late", 12, "audit")
    assert second.event_id is not None
    assert len(reconcile_findings.marked_events(filled.engine, SOURCE.id, limit=1)) == 1


def test_a_changed_body_stands_beside_the_stored_one(filled: Filled) -> None:
    filled.commit(Api.AUDIT, 0, known=2)
    filled.change("DELETE FROM events WHERE uuid = 'audit-000001'")
    found = {one.uuid: one for one in reconcile_findings.changed_bodies(filled.engine, SOURCE.id)}
    assert set(found) == {"audit-000001", "audit-000002"}
    assert (found["audit-000001"].stored, found["audit-000001"].event_id) == (None, None)
    assert '"é"' in str(found["audit-000002"].stored)
    assert '"éagain"' in found["audit-000002"].body


def test_undocumented_values_leave_out_the_reasons_of_quarantine(filled: Filled) -> None:
    filled.change(
        "INSERT INTO undocumented_values (stream_id, kind, path, value, seen_ns) VALUES "
        "({audit}, 'member', 'b', '', 1), ({audit}, 'value', 'a', 'x', 2), ({audit}, 'quarantine', 'no uuid', '', 3)"
    )
    found = reconcile_findings.undocumented_values(filled.engine, SOURCE.id)
    assert [(one.kind, one.path, one.value, one.seen_ns) for one in found] == [
        ("value", "a", "x", 2),
        ("member", "b", "", 1),
    ]


def test_another_source_has_findings_of_its_own(filled: Filled, engine: Engine) -> None:
    sources.save(engine, replace(SOURCE, id="2" * 32, name="other"))
    filled.commit(Api.AUDIT, 0, known=1)
    assert reconcile_findings.changed_bodies(engine, "2" * 32) == []
