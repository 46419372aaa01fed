"""Topics of audit events name documented codes alone."""

from __future__ import annotations

from blocks.events_api import audit_topics
from blocks.events_api.vocabulary import EVENTS

AUDIT = EVENTS["auditevents"]


def test_every_code_is_documented() -> None:
    assert isinstance(AUDIT["action"], frozenset)
    assert isinstance(AUDIT["object_type"], frozenset)
    assert AUDIT["action"] >= audit_topics.SECURITY_ACTIONS
    assert AUDIT["object_type"] >= audit_topics.SECURITY_TYPES | audit_topics.ACCESS_TYPES
