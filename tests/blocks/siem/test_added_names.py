"""Names beside ids, from the body to the formats, with rules between them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import siems as support
from support.forwarding import FakeSender

from blocks.events_api.models import Api
from blocks.events_api.vocabulary import EVENTS
from blocks.siem import added_names
from blocks.siem.added_names import MEMBERS, add_names
from blocks.siem.delivery.prepare import FilteredEvent, Preparer
from blocks.siem.privacy import processing, rules

HOSTILE = '<script>"\\\u202e=1+1'
NAMES = {"v1": "Payroll", "i1": HOSTILE, "g1": "Owners", "x1": "Laptop"}
USAGE = support.event(Api.ITEM_USAGE, action="reveal", vault_uuid="v1", item_uuid="i1", user={"uuid": "U"})
GRANT = support.event(Api.AUDIT, action="grant", object_type="gva", object_uuid="v1", aux_uuid="g1", actor_uuid="U")
JOIN = support.event(Api.AUDIT, action="join", object_type="gm", object_uuid="g1", aux_uuid="U", aux_info="R")


def sent(
    event: Any,
    api: Api = Api.ITEM_USAGE,
    form: str = "raw",
    *,
    given: list[dict[str, Any]] | None = None,
    filters: list[dict[str, Any]] | None = None,
    names: dict[str, str] = NAMES,
) -> Any:
    """The document that the SIEM gets, or the reason why it gets none."""
    checked = rules.parse(given or [], "k" * 16)
    stream = support.stream(api)
    made = Preparer(FakeSender(), checked, form, stream, processing.parse(filters or []), names).prepare(event)  # type: ignore[arg-type]
    return made.reason if isinstance(made, FilteredEvent) else json.loads(made.data)


def test_each_id_gets_its_name_and_all_else_stays_byte_for_byte() -> None:
    body = '{ "item_uuid":"i1", "used_version": 1e400,"vault_uuid":"v1" ,"x":"\\ud800"}\n'
    named = add_names(body, NAMES)
    assert named
    assert named.startswith(body.rstrip()[:-1] + ',"vault_name":"Payroll","item_name":')
    assert json.loads(named)["item_name"] == HOSTILE


@pytest.mark.parametrize(
    "body",
    ["{}", '{"vault_uuid":"v2"}', '{"vault_uuid":["v1"]}', '{"vault_uuid":{"v1":"v1"}}', "[]", "x", "", '"v1"', "null"],
)
def test_a_body_without_a_known_id_stays(body: str) -> None:
    assert add_names(body, NAMES) is None


def test_a_member_of_1password_is_never_replaced() -> None:
    assert add_names('{"vault_uuid":"v1","vault_name":null}', NAMES) is None
    assert add_names('{"vault_uuid":"v1","vault_name":"theirs","item_uuid":"g1"}', NAMES) == (
        '{"vault_uuid":"v1","vault_name":"theirs","item_uuid":"g1","item_name":"Owners"}'
    )


def test_the_names_are_beside_every_documented_id_of_an_object_that_has_no_name() -> None:
    own = {name for members in EVENTS.values() for name, shape in members.items() if shape is None and "uuid" in name}
    assert own - {"uuid", "session_uuid", "user_account_uuid", "actor_account_uuid"} == set(MEMBERS)
    assert not set(MEMBERS.values()) & {name for members in EVENTS.values() for name in members}
    assert set(added_names._Ids.__struct_fields__) == {*MEMBERS, *MEMBERS.values()}


def test_without_names_the_event_is_sent_as_it_is() -> None:
    assert sent(USAGE, names={}) == json.loads(USAGE.body)


def test_raw_has_them_at_the_end() -> None:
    assert sent(USAGE) == {**json.loads(USAGE.body), "vault_name": "Payroll", "item_name": HOSTILE}


def test_ecs_has_them_under_onepassword() -> None:
    found = sent(USAGE, form="ecs")["onepassword"]
    assert (found["vault_name"], found["item_name"]) == ("Payroll", HOSTILE)
    found = sent(GRANT, Api.AUDIT, "ecs")["onepassword"]
    assert (found["object_name"], found["aux_name"]) == ("Payroll", "Owners")


def test_ocsf_has_them_as_the_names_of_its_objects() -> None:
    found = sent(USAGE, form="ocsf")["entity"]
    assert (found["name"], found["data"]) == (HOSTILE, {"vault_uuid": "v1", "vault_name": "Payroll"})
    found = sent(GRANT, Api.AUDIT, "ocsf")
    assert (found["resource"]["name"], found["group"]["name"]) == ("Payroll", "Owners")
    assert sent(JOIN, Api.AUDIT, "ocsf")["group"] == {"uid": "g1", "name": "Owners"}
    device = support.event(Api.AUDIT, action="delete", object_type="device", object_uuid="x1")
    assert sent(device, Api.AUDIT, "ocsf")["entity"]["name"] == "Laptop"


@pytest.mark.parametrize("form", support.FORMATS)
@pytest.mark.parametrize(
    "rule",
    [{"mask": ["@names"]}, {"remove": ["item_uuid"]}, {"hash": ["item_uuid"]}, {"remove": ["item_name"]}],
    ids=str,
)
def test_a_rule_for_a_name_or_its_id_hides_the_name_in_every_format(form: str, rule: dict[str, Any]) -> None:
    assert not list(rules.problems([rule], "$", has_key=True))
    names = {**NAMES, "i1": "Secret title"}
    assert "Secret title" in json.dumps(sent(USAGE, form=form, names=names))
    assert "Secret title" not in json.dumps(sent(USAGE, form=form, names=names, given=[rule]))


def test_conditions_do_not_read_names() -> None:
    assert list(rules.problems([{"drop": {"matches": {"vault_name": "Payroll"}}}], "$", has_key=False))


def test_processing_rules_mask_names_and_choose_by_the_event_alone() -> None:
    mask = {"name": "m", "filterType": "Mask", "regexp": '"vault_name":"([^"]*)"', "mask": "*"}
    assert set(sent(USAGE, filters=[mask])["vault_name"]) == {"*"}
    exclude = {"name": "x", "filterType": "Exclude", "regexp": ".*Payroll.*"}
    assert sent(USAGE, filters=[exclude])["vault_name"] == "Payroll"
    include = {"name": "i", "filterType": "Include", "regexp": '.*"action":"fill".*'}
    assert "None of the source's processing rules" in sent(USAGE, filters=[include])


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.sampled_from(["v1", "i1", "x", "\ud800"]),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*MEMBERS, "item_name"]), inner),
        max_leaves=10,
    ),
    st.sampled_from(support.FORMATS),
    st.sampled_from(list(Api)),
)
def test_any_body_is_sent_with_its_members_as_they_are(value: object, form: str, api: Api) -> None:
    body = json.dumps(value)
    named = add_names(body, NAMES)
    if named is not None:
        assert isinstance(value, dict)
        assert {name: json.loads(named)[name] for name in value} == value
    event = support.OutgoingEvent(1, "A" * 26, support.START_NS, support.RECEIVED_NS, body)
    assert sent(event, api, form) is not None or value is None
