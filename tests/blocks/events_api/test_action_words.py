"""Words for codes: every documented code has some, and no other."""

from __future__ import annotations

import pytest

from blocks.events_api import action_words
from blocks.events_api.vocabulary import AUDIT_ACTIONS, EVENTS, ITEM_ACTIONS, SIGN_IN_TYPES
from blocks.siem.formats.ocsf import audit_table
from blocks.siem.formats.ocsf.activity import OcsfClass

WORDS = {one[:3]: one for one in action_words.catalogue()}
AUDIT_EVENT = EVENTS["auditevents"]
SIGN_IN = EVENTS["signinattempts"]


@pytest.mark.parametrize(
    ("words", "documented"),
    [
        (action_words.OBJECTS, AUDIT_EVENT["object_type"]),
        (action_words.AUDITS, AUDIT_EVENT["action"]),
        (action_words.CATEGORIES, SIGN_IN["category"]),
        (action_words.TYPES, SIGN_IN["type"]),
        (action_words.ITEM_USAGES, EVENTS["itemusages"]["action"]),
    ],
    ids=["object types", "audit actions", "categories", "types", "item usages"],
)
def test_every_documented_code_has_words_and_no_other(words: dict[str, str], documented: frozenset[str]) -> None:
    assert set(words) == documented


def test_the_words_and_ocsf_know_the_same_codes() -> None:
    rows = audit_table.TABLE[OcsfClass.ENTITY_MANAGEMENT]
    assert {action for _, _, actions in rows for action in actions.split()} == set(action_words.AUDITS)
    assert set(audit_table.CLASSES) == set(action_words.OBJECTS)


def test_the_catalogue_has_every_documented_pair_once() -> None:
    pairs = [
        *(("sign-in", category, kind) for category, kinds in SIGN_IN_TYPES.items() for kind in kinds),
        *(("itemUsage", "", action) for action in ITEM_ACTIONS),
        *(("audit", kind, action) for kind, actions in AUDIT_ACTIONS.items() for action in actions.split()),
    ]
    assert [one[:3] for one in action_words.catalogue()] == pairs


def test_an_exception_is_a_documented_pair_and_differs_from_the_rule() -> None:
    for (kind, action), words in action_words.PAIRS.items():
        assert ("audit", kind, action) in WORDS
        assert words != action_words.AUDITS[action].format(object=action_words.OBJECTS[kind])


@pytest.mark.parametrize("one", WORDS.values(), ids=lambda one: f"{one.api} {one.kind} {one.action}")
def test_words_are_a_part_of_a_sentence(one: action_words.DocumentedAction) -> None:
    assert one.words[0].islower()
    assert one.words[-1] not in ".: "
    assert not set(one.words) & set("{}_<>")


def test_different_actions_of_an_object_type_have_different_words() -> None:
    assert len({(one.api, one.kind, one.words) for one in WORDS.values()}) == len(WORDS)


@pytest.mark.parametrize(
    ("codes", "words"),
    [
        (("audit", "uva", "grant"), "gave a person access to a vault"),
        (("audit", "account", "disblmfa"), "turned off two-factor authentication for the account"),  # not a listed pair
        (("audit", "uva", "conquer"), "uva conquer"),
        (("audit", "moon", "grant"), "moon grant"),
        (("audit", None, "grant"), "grant"),
        (("audit", None, None), "unknown"),
        (("sign-in", "success", "credentials_ok"), "signed in"),
        (("sign-in", "success", "mfa_ok"), "signed in, with two factors"),
        (("sign-in", "mfa_failed", "u2f_timout"), WORDS["sign-in", "mfa_failed", "u2f_timeout"].words),
        (("sign-in", "mfa_failed", None), "did not pass two-factor authentication"),
        (("sign-in", "mfa_failed", "smoke"), "mfa_failed smoke"),
        (("sign-in", "moon_failed", "totp_bad"), "moon_failed totp_bad"),
        (("itemUsage", None, "secure-copy"), "copied a secret of an item"),
        (("itemUsage", None, "eat"), "eat"),
        (("itemUsage", None, None), "unknown"),
    ],
)
def test_codes_read_as_words_or_as_themselves(codes: tuple[str, str | None, str | None], words: str) -> None:
    assert action_words.describe(*codes) == words


def test_the_reason_of_a_failure_stands_alone() -> None:
    assert action_words.describe_reason("totp_bad") == "wrong one-time password"
    assert action_words.describe_reason("smoke") == "smoke"
    assert action_words.describe_reason(None) == ""


def test_what_is_uncertain_is_documented_and_marked() -> None:
    codes = {code for one in WORDS.values() for code in one[1:3]}
    assert codes >= action_words.UNCERTAIN
    assert not WORDS["audit", "account", "uisas"].is_certain
    assert WORDS["audit", "uva", "grant"].is_certain
