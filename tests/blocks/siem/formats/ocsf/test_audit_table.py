"""The class and activity of each audit event: every documented value is decided, with the schema's numbers."""

from __future__ import annotations

from pathlib import Path

import pytest
from ocsf_json_schema import get_ocsf_schema
from support.formats import formatted
from support.ocsf_documents import AUDIT, problems

from blocks.events_api.models import Api
from blocks.events_api.vocabulary import AUDIT_ACTIONS
from blocks.siem.formats.ocsf import audit_table
from blocks.siem.formats.ocsf.activity import OTHER, OcsfClass
from blocks.siem.formats.ocsf.event import OCSF_VERSION

ACTIONS = sorted({action for actions in AUDIT_ACTIONS.values() for action in actions.split()})
PAIRS = [(kind, action) for kind, actions in AUDIT_ACTIONS.items() for action in actions.split()]


def test_every_documented_object_type_has_a_class() -> None:
    assert set(audit_table.CLASSES) == set(AUDIT_ACTIONS)


def test_every_documented_action_is_decided_for_an_entity() -> None:
    listed = [action for _, _, actions in audit_table.TABLE[OcsfClass.ENTITY_MANAGEMENT] for action in actions.split()]
    assert sorted(listed) == ACTIONS


@pytest.mark.parametrize("ocsf_class", audit_table.TABLE)
def test_every_documented_pair_is_decided_once(ocsf_class: OcsfClass) -> None:
    listed = [action for _, _, actions in audit_table.TABLE[ocsf_class] for action in actions.split()]
    assert len(listed) == len(set(listed))
    documented = {action for kind, action in PAIRS if audit_table.CLASSES[kind] is ocsf_class}
    assert documented <= set(listed)


@pytest.mark.parametrize("ocsf_class", audit_table.TABLE)
def test_the_table_has_the_numbers_and_captions_of_the_schema(ocsf_class: OcsfClass) -> None:
    published = get_ocsf_schema(OCSF_VERSION)["classes"]
    names = {one["uid"]: one for one in published.values()}
    activities = names[ocsf_class]["attributes"]["activity_id"]["enum"]
    assert names[ocsf_class]["caption"] == ocsf_class.caption
    for uid, caption, _ in audit_table.TABLE[ocsf_class]:
        assert activities[str(uid)]["caption"] == caption


@pytest.mark.parametrize("ocsf_class", audit_table.TABLE)
def test_the_table_is_documented(ocsf_class: OcsfClass) -> None:
    page = Path("docs/siem/formats.md").read_text()
    for uid, caption, actions in audit_table.TABLE[ocsf_class]:
        assert f"| {int(ocsf_class)} | {uid} {caption} | {actions} |" in page


@pytest.mark.parametrize("kind", AUDIT_ACTIONS)
def test_every_action_with_every_object_type_is_valid(kind: str) -> None:
    for action in ACTIONS:
        found = formatted("ocsf", Api.AUDIT, AUDIT | {"object_type": kind, "action": action})
        assert found["class_uid"] == audit_table.CLASSES[kind]
        if found["activity_id"] == OTHER:
            assert found["activity_name"] == action
    assert not [*problems(found)]
