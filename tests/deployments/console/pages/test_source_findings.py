"""What reconcile and drift have found of a source."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.chains import Filled
from support.console_client import shown_text
from support.hostile_text import HOSTILE, require_harmless
from support.values import SOURCE

from blocks.events_api.models import Api

if TYPE_CHECKING:
    from support.console_client import ConsoleClient


def test_findings_show_both_bodies_and_what_is_not_documented(filled: Filled, viewer: ConsoleClient) -> None:
    path = f"/sources/{SOURCE.id}/findings"
    assert shown_text(viewer.page(path)).count("none") >= 3
    filled.commit(Api.AUDIT, 0, known=2)
    filled.change(
        "INSERT INTO late_or_missed (stream_id, uuid, time_ns, found_ns, fence, verdict, decided_ns) "
        "VALUES ({audit}, :hostile, 1, 2, 0, 'missed', 3), ({audit}, 'U2', 1, 1, 0, NULL, NULL)",
        hostile=HOSTILE,
    )
    filled.change(
        "INSERT INTO undocumented_values (stream_id, kind, path, value, seen_ns) VALUES "
        "({audit}, 'value', 'action', :hostile, 1), ({audit}, 'quarantine', 'no uuid 2', '', 1)",
        hostile=HOSTILE,
    )
    page = viewer.page(path)
    text = shown_text(page)
    assert "missed" in text
    assert "U2 1970-01-01 00:00:00 not decided yet" in text
    assert "As it was stored" in text
    assert "éagain" in text
    assert "value action" in text
    assert "no uuid 2" not in text
    require_harmless(page)
