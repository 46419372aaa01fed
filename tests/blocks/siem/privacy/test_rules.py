"""Privacy rules: which events a SIEM gets, and what of them never leaves."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import siems as support

from blocks.events_api.models import Api
from blocks.events_api.vocabulary import EVENTS
from blocks.siem.formats import registry
from blocks.siem.privacy import conditions, json_members, members, patterns, rules
from blocks.siem.privacy.rules import UNCHANGED, UNREADABLE, RuleOutcome
from deployments.sandbox.sample_events import EventTime, make_body, random_for

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = "a key that is kept"
WHEN = EventTime(1772600767 * 10**9, "2026-03-04T05:06:07Z")
SIGN_IN = (
    '{"uuid":"A","timestamp":"2026-03-04T05:06:07.089Z","category":"credentials_failed","type":"code_bad",'
    '"target_user":{"uuid":"U","name":"Ana Test","email":"ana@example.org"},'
    '"client":{"app_name":"1Password SCIM Bridge","ip_address":"192.0.2.7"},'
    '"location":{"country":"NZ","latitude":-45.8700}}'
)


def applied(given_rules: list[dict[str, Any]], body: str, api: Api = Api.SIGN_IN) -> RuleOutcome:
    assert not list(rules.problems(given_rules, "$", has_key=True))
    return rules.parse(given_rules, KEY).apply(api, body)


def changed(rule: dict[str, Any], body: str) -> str:
    outcome = applied([rule], body)
    assert outcome.filter_reason is None
    return body if outcome.body is None else outcome.body.decode()


def problems(*given_rules: object, has_key: bool = True) -> dict[str, str]:
    found = rules.problems(list(given_rules), "$.rules", has_key=has_key)
    return {problem.path: f"{problem.description}; {problem.expected}" for problem in found}


def digest(text: str) -> str:
    return hmac.new(KEY.encode(), text.encode(), hashlib.sha256).hexdigest()


def test_no_rules_cost_nothing() -> None:
    assert rules.parse([], "").empty
    assert rules.parse([], "").apply(Api.AUDIT, "no JSON at all") is UNCHANGED


class TestChoices:
    @pytest.mark.parametrize(
        "condition",
        [
            {"api": "sign-in"},
            {"api": ["signinattempts", "audit"]},
            {"category": ["success", "credentials_failed"]},
            {"category": "credentials_failed", "type": "code_bad", "api": "sign-in"},
            {"matches": {"client.app_name": ".*SCIM.*"}},
            {"matches": {"target_user.email": r"[a-z]+@example\.org", "location.country": "NZ|AU"}},
            {"matches": {"location.latitude": r"-45\.8700"}},
        ],
    )
    def test_a_condition_that_holds(self, condition: dict[str, Any]) -> None:
        dropped = applied([{"drop": condition}], SIGN_IN).filter_reason
        assert dropped == f"Rule 1 drops it: {json.dumps({'drop': condition})}"

    @pytest.mark.parametrize(
        "condition",
        [
            {"api": "audit"},
            {"category": "credentials_failed", "type": "code_timeout"},
            {"action": "fill"},
            {"matches": {"client.app_name": "SCIM"}},
            {"matches": {"client": ".*"}},
            {"matches": {"client.os_name": ".*"}},
            {"matches": {"target_user.name": "Ana.*", "target_user.email": "bo@.*"}},
        ],
    )
    def test_a_condition_that_does_not_hold(self, condition: dict[str, Any]) -> None:
        assert applied([{"drop": condition}], SIGN_IN) == UNCHANGED

    def test_the_first_that_holds_decides(self) -> None:
        keep, drop = {"keep": {"category": "credentials_failed"}}, {"drop": {"api": "sign-in"}}
        assert applied([keep, drop], SIGN_IN).filter_reason is None
        assert str(applied([drop, keep], SIGN_IN).filter_reason).startswith("Rule 1 ")

    def test_what_none_names_is_dropped_where_the_last_is_a_keep(self) -> None:
        keep, drop = {"keep": {"category": "success"}}, {"drop": {"api": "audit"}}
        assert applied([keep, drop], SIGN_IN).filter_reason is None
        dropped = applied([drop, {"mask": "@names"}, keep], SIGN_IN).filter_reason
        assert dropped == f"No rule keeps it, and the last of them, rule 3, is a keep: {json.dumps(keep)}"

    def test_conditions_look_at_the_event_as_it_came(self) -> None:
        mask, drop = {"mask": "@emails"}, {"drop": {"matches": {"target_user.email": "ana@.*"}}}
        assert applied([mask, drop], SIGN_IN).filter_reason

    def test_of_repeated_keys_one_is_enough(self) -> None:
        body = '{"category":"success","category":"mfa_failed"}'
        for value in ("success", "mfa_failed"):
            assert applied([{"drop": {"category": value}}], body).filter_reason

    def test_a_new_value_can_be_named(self) -> None:
        assert applied([{"drop": {"action": ["new:beam"]}}], '{"action":"beam"}', Api.AUDIT).filter_reason


class TestChanges:
    @pytest.mark.parametrize(
        ("rule", "before", "after"),
        [
            ({"mask": "@emails"}, '"email":"ana@example.org"', '"email":"***"'),
            ({"mask": "@names"}, '"name":"Ana Test"', '"name":"***"'),
            ({"mask": ["@ips"]}, '"ip_address":"192.0.2.7"', '"ip_address":"***"'),
            ({"mask": "location"}, '{"country":"NZ","latitude":-45.8700}', '{"country":"***","latitude":null}'),
            ({"hash": "@emails"}, '"ana@example.org"', f'"{digest("ana@example.org")}"'),
            ({"hash": "location.latitude"}, "-45.8700", f'"{digest("-45.8700")}"'),
            ({"remove": ["location"]}, ',"location":{"country":"NZ","latitude":-45.8700}', ""),
            ({"remove": ["@names", "@emails"]}, ',"name":"Ana Test","email":"ana@example.org"', ""),
            ({"mask": "new:client.device"}, "", ""),
            ({"mask": "@emails", "when": {"category": "credentials_failed"}}, "ana@example.org", "***"),
            ({"mask": "@emails", "when": {"category": "success"}}, "", ""),
        ],
    )
    def test_only_what_is_named(self, rule: dict[str, Any], before: str, after: str) -> None:
        assert changed(rule, SIGN_IN) == SIGN_IN.replace(before, after, 1 if before else 0)

    def test_the_first_that_names_a_member_decides(self) -> None:
        body = '{"user":{"name":"Ana","email":"a@b","uuid":"U","new":{"of":"her"}}}'
        given_rules = [{"hash": "user.email"}, {"mask": "@emails"}, {"mask": "user.name"}, {"remove": "user"}]
        made = applied(given_rules, body, Api.ITEM_USAGE).body
        assert made == f'{{"user":{{"name":"***","email":"{digest("a@b")}"}}}}'.encode()

    def test_a_rule_whose_condition_does_not_hold_leaves_the_member_to_the_next(self) -> None:
        given_rules = [{"hash": "@emails", "when": {"api": "audit"}}, {"mask": "@emails"}]
        body = '{"actor_details":{"email":"a@b"},"target_user":{"email":"a@b"}}'
        checked = rules.parse(given_rules, KEY)
        for _ in range(2):
            assert digest("a@b").encode() in (checked.apply(Api.AUDIT, body).body or b"")
            assert (checked.apply(Api.SIGN_IN, body).body or b"").count(b'"***"') == 2

    @pytest.mark.parametrize("value", ["null", "[]", "{}"])
    def test_what_holds_nothing_stays(self, value: str) -> None:
        body = f'{{"uuid":"A","location":{value}}}'
        assert changed({"mask": "location"}, body) == changed({"hash": "location"}, body) == body

    def test_one_input_has_one_hash_in_every_member_and_spelling(self) -> None:
        body = '{"actor_details":{"name":"Zo\\u00eb"},"aux_details":{"name":"Zoë"},"object_details":{"name":"Zoe"}}'
        made = json.loads(changed({"hash": "@names"}, body))
        assert made["actor_details"] == made["aux_details"] == {"name": digest("Zoë")} != made["object_details"]


class TestBytes:
    """What is not named stays as it was sent, whatever it is, and what is named never leaves, however it is spelt."""

    @pytest.mark.parametrize(
        "value",
        [
            "1e400",
            "-0.0",
            "1.10",
            "12345678901234567890123",
            "9" * 5000,
            '"\\ud800"',
            '"\\u003c\\/"',
            "[1, {}]",
            '" \t"',
        ],
    )
    def test_other_members_keep_their_text(self, value: str) -> None:
        body = f'{{"used_version":{value},"user":{{"email":"a@b","new":{value}}},"last":{value}}}'
        assert changed({"mask": "@emails"}, body) == body.replace('"a@b"', '"***"')

    @pytest.mark.parametrize(
        "user",
        [
            '{"email":"ana","email":"ana"}',
            '{"em\\u0061il":"ana"}',
            '{"email":{"value":"ana","all":["ana",{"x":"ana"}]}}',
            '[{"email":"ana"},{"email":["ana"]}]',
            '{ "email" :\n "ana" , "x":1}',
            '{"\\ud800":1,"email":"ana"}',
            '{"x":"\\"","email":"ana"}',
        ],
    )
    @pytest.mark.parametrize("kind", rules.CHANGES)
    def test_no_spelling_hides_a_member(self, user: str, kind: str) -> None:
        for body in (
            f'{{"user":{user}}}',
            f'{{"us\\u0065r":{user}}}',
            f'{{"user":{user},"user":{user}}}',
            f' {{"user":{user}}}\n',
        ):
            made = changed({kind: "@emails"}, body)
            assert "ana" not in made
            json.loads(made)

    def test_repeated_keys_both_stay(self) -> None:
        body = '{"x":1,"x":2,"user":{"email":"a","email":"b"}}'
        assert changed({"mask": "@emails"}, body) == '{"x":1,"x":2,"user":{"email":"***","email":"***"}}'

    @pytest.mark.parametrize(
        "body", ["", "[]", '"x"', "{", '{"user"}', '{"user":{"email":"a"', '{"\\x":1}', "{}{}", "\ud800{}"]
    )
    def test_a_body_that_cannot_be_parsed_is_filtered(self, body: str) -> None:
        assert rules.parse([{"mask": "@emails"}], "").apply(Api.AUDIT, body) == UNREADABLE

    def test_deep_nesting(self) -> None:
        deep, mask = "[" * 50_000 + "]" * 50_000, {"mask": "@emails"}
        assert changed(mask, f'{{"new":{deep},"user":{{"email":"a"}}}}').endswith('{"email":"***"}}')
        assert changed(mask, f'{{"user":{{"email":[{deep},"a"]}}}}') == f'{{"user":{{"email":[{deep},"***"]}}}}'
        assert applied([mask], f'{{"user":{deep}}}') == UNREADABLE

    @given(st.text())
    def test_it_never_raises(self, body: str) -> None:
        given_rules = [{"drop": {"matches": {"user.email": "x+"}}}, {"hash": "@names"}, {"mask": "user"}]
        assert isinstance(rules.parse(given_rules, KEY).apply(Api.ITEM_USAGE, "{" + body), RuleOutcome)

    @given(st.data())
    def test_json_of_any_kind(self, data: st.DataObject) -> None:
        leaves = (
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
        )
        keys = st.sampled_from(["user", "email", "name", "client", "x"])
        objects = st.recursive(leaves, lambda inner: st.dictionaries(keys, inner), max_leaves=12)
        value = objects | st.lists(objects)
        event = data.draw(st.dictionaries(keys, value))
        body = json.dumps(event, indent=data.draw(st.sampled_from([None, 1])), ensure_ascii=data.draw(st.booleans()))
        assert json.loads(changed({"mask": "@emails"}, body)) == _masked(event)
        assert json.loads(json_members.join_members(json_members.parse_slow(body.encode()))) == event


def _masked(event: Any, path: tuple[str, ...] = ()) -> Any:
    """The same, made by hand."""
    if isinstance(event, list):
        return [_masked(one, path) for one in event]
    if isinstance(event, dict):
        under = path[:2] == ("user", "email")
        return {key: _masked(value, path if under else (*path, key)) for key, value in event.items()}
    if path[:2] != ("user", "email") or event is None:
        return event
    return "***" if isinstance(event, str) else None


def _held(event: dict[str, Any]) -> Iterator[str]:
    """Every name and address in an event."""
    for value in event.values():
        for name, held in value.items() if isinstance(value, dict) else ():
            if name in {"name", "email", "ip", "ip_address"} and held:
                yield held


class TestClasses:
    def test_no_documented_member_with_personal_data_is_forgotten(self) -> None:
        """A new member of the vocabulary fails this test if it looks like a name or an address and no class has it."""
        held = {path for name in members.CLASSES for path in members.class_paths(name)}
        suspects = {
            path
            for path in members.documented_paths()
            if any(word in path[-1] for word in ("name", "mail", "ip", "addr"))
        }
        of_things = {("client", name) for name in ("app_name", "platform_name", "os_name")}
        assert suspects - held == of_things
        assert {path[0] for path in held} == {
            *("target_user", "user", "actor_details", "object_details", "aux_details", "client", "session"),
            *members.ADDED,
        }

    @pytest.mark.parametrize("api", list(Api))
    @pytest.mark.parametrize("version", [1, 2])
    def test_nothing_of_a_person_is_left_in_the_events_of_the_sandbox(self, api: Api, version: int) -> None:
        checked = rules.parse([{"remove": ["@names", "@emails", "@ips"]}], "")
        for number in range(300):
            made = make_body(1, api.path, number, random_for(1, api.path, number), WHEN)
            body = (made.v1 if version == 1 else made.v2).decode()
            event = json.loads(checked.apply(api, body).body or b"")
            for outer in ("target_user", "user", "actor_details", "object_details", "aux_details", "client", "session"):
                assert not {"name", "email", "ip", "ip_address"} & set(event.get(outer) or {})
            assert set(event) == set(json.loads(body))

    @pytest.mark.parametrize("api", list(Api))
    @pytest.mark.parametrize("format_name", support.FORMATS)
    def test_what_is_masked_is_in_no_format(self, api: Api, format_name: str) -> None:
        checked = rules.parse([{"mask": ["@names", "@emails", "@ips"]}], "")
        found = 0
        for event in support.events(api, 60):
            outcome = checked.apply(api, event.body)
            made = registry.format_event(format_name, event, support.stream(api), outcome.body).document
            held = list(_held(json.loads(event.body)))
            found += len(held)
            assert not [value for value in held if value in json.dumps(json.loads(made), ensure_ascii=False)]
        assert found > 60

    def test_every_member_of_the_vocabulary_can_be_named(self) -> None:
        names = {".".join(path) for path in members.documented_paths()} - set(members.PROTECTED)
        assert {name.partition(".")[0] for name in names} == set().union(*EVENTS.values()) - set(members.PROTECTED)
        assert not problems({"mask": sorted(names)})


@pytest.mark.parametrize(("change", "account"), [("mask", "***"), ("hash", digest(support.ACCOUNT))])
@pytest.mark.parametrize("format_name", support.FORMATS)
def test_what_a_rule_makes_of_an_account_holds_outside_the_body_too(
    format_name: str, change: str, account: str
) -> None:
    one = support.event(Api.AUDIT, action="join", account_uuid=support.ACCOUNT)
    body = applied([{change: ["account_uuid"]}], one.body, Api.AUDIT).body
    made = registry.format_event(format_name, one, support.stream(Api.AUDIT), body)
    assert made.account == account
    assert support.ACCOUNT.encode() not in made.document


class TestFaults:
    def test_all_at_once_with_their_places(self) -> None:
        found = problems(
            "x",
            {},
            {"maks": ["@emails"]},
            {"mask": ["user.emial", "@email", "uuid", "new:"], "drop": {}},
            {"drop": {"actoin": ["fill"], "api": "itemUsages", "category": [], "action": ["fil"]}},
            {"keep": {"matches": {"user.mail": "x", "user.email": "(?=a)", "client": 3}}, "when": {"api": "audit"}},
            {"hash": "@names", "when": {"matches": {}}},
            {"remove": [1]},
            {"when": {"api": "audit"}},
            {"remove": ["account_uuid", "new:account_uuid", "actor_account_uuid"]},
            has_key=False,
        )
        assert found == {
            "$.rules[0]": 'it is a text; a rule such as {"drop": {"action": ["fill"]}} or {"mask": ["@emails"]}',
            "$.rules[1]": 'it is empty; a rule such as {"drop": {"action": ["fill"]}} or {"mask": ["@emails"]}',
            "$.rules[2].maks": 'this key is not known; "mask"',
            "$.rules[3]": "drop and mask are in one rule; a rule of its own for each",
            "$.rules[3].mask[0]": '"user.emial" is not a documented member; "user.email", '
            'or "new:user.emial" if it is new',
            "$.rules[3].mask[1]": '"@email" is not a documented member; "@emails", or "new:@email" if it is new',
            "$.rules[3].mask[2]": "every event keeps its uuid; another member",
            "$.rules[3].mask[3]": '"new:" does not name a member; names with dots between them',
            "$.rules[3].drop": f"it is empty, so it would match every event; {conditions.FORM}",
            "$.rules[4].drop.actoin": 'this key is not known; "action"',
            "$.rules[4].drop.api": '"itemUsages" is not a documented api; "itemUsage"',
            "$.rules[4].drop.category": 'the list is empty; a list such as ["credentials_failed"]',
            "$.rules[4].drop.action[0]": '"fil" is not a documented action; "fill", or "new:fil" if it is new',
            "$.rules[5].when": "keep and drop contain their condition themselves; no when",
            '$.rules[5].keep.matches["user.mail"]': '"user.mail" is not a documented member; "user.email", '
            'or "new:user.mail" if it is new',
            '$.rules[5].keep.matches["user.email"]': "it has look-around, which RE2 does not support; "
            "the syntax of RE2 (https://github.com/google/re2/wiki/Syntax)",
            "$.rules[5].keep.matches.client": "it is a number; a regular expression, as a text",
            "$.rules[6].hash": "there is no key for hashes; hash_key, a secret that you keep",
            "$.rules[6].when.matches": 'it is empty; a member and a pattern, such as {"client.app_name": ".*SCIM.*"}',
            "$.rules[7].remove": 'it holds a value that is not a text; a list such as ["@emails"]',
            "$.rules[8]": "it has no action; one of keep, drop, mask, hash, remove",
            "$.rules[9].remove[0]": "every event keeps its account_uuid; mask or hash instead of remove",
            "$.rules[9].remove[1]": "every event keeps its account_uuid; mask or hash instead of remove",
        }

    @pytest.mark.parametrize("value", [None, {}, "x", 3])
    def test_no_list(self, value: object) -> None:
        assert [problem.path for problem in rules.problems(value, "$.rules", has_key=True)] == ["$.rules"]

    @settings(max_examples=30)
    @given(st.recursive(st.none() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)))
    def test_any_value_but_an_empty_list_is_reported(self, value: object) -> None:
        for given_rules in (value, [value], [{"drop": value}], [{"mask": value}], [{"keep": {"matches": value}}]):
            found = list(rules.problems(given_rules, "$", has_key=False))
            assert all(problem.path.startswith("$") and problem.description and problem.expected for problem in found)
            assert found or given_rules == []


class TestPatterns:
    @pytest.mark.parametrize(
        "pattern",
        [
            "1Password.*",
            "(?i)(?:web|mac)",
            r"\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}",
            r"[*+(]+\(a+\)",
            "(a+)+b",
            "(?P<n>a*){2,}",
            ".*.*.*.*",
            r"\pL+é?",
            r"\{,5\}",
        ],
    )
    def test_good(self, pattern: str) -> None:
        assert not list(patterns.problems(pattern, "$"))

    @pytest.mark.parametrize(
        ("pattern", "said"),
        [
            ("[", "not a regular expression"),
            ("a" * 5001, "more than 5000 characters"),
            ("(?=a)b", "look-around"),
            ("(?<!a)b", "look-around"),
            (r"(a)\1", "back-references"),
            ("(?P<n>a)(?P=n)", "back-references"),
            ("(?>a)", "atomic groups"),
            ("(?(1)a|b)", "conditional groups"),
            ("(?#x*)(ab)+", "comments"),
            (r"\pL{1,300}", "too large"),
            ("((a{1,99}){1,99}b){9}", "not a regular expression"),
            ("[a-z]{900}{9}", "not a regular expression"),
            ("a{,5}", "RE2 reads {,n} as text"),
            ("\ud800", "a lone surrogate"),
            (r"a\Z", "not a regular expression"),
        ],
    )
    def test_bad(self, pattern: str, said: str) -> None:
        (found,) = patterns.problems(pattern, "$")
        assert said in found.description
        assert len(str(found)) < 300 or len(pattern) > 300

    # Those on which Python's re takes a minute and more: with it this test does not end.
    @pytest.mark.parametrize(
        "pattern",
        [
            "a?" * 40 + "b",
            "a{0,16}" * 8 + "b",
            ".{0,16}" * 9 + "#",
            "(a+)+b",
            "(a|a)*b",
            "(?:a+a+)+b",
            "((a?)){20}b",
            "(.*)*(.*)*b",
            "a*" * 300 + "b",
        ],
    )
    @pytest.mark.parametrize("length", [60, patterns.TEXT_MAX + 10])
    def test_each_pattern_is_fast(self, pattern: str, length: int) -> None:
        body = json.dumps({"aux_info": "a" * length})
        assert not list(patterns.problems(pattern, "$"))
        assert applied([{"drop": {"matches": {"aux_info": pattern}}}], body, Api.AUDIT) == UNCHANGED

    @pytest.mark.parametrize("text", ["a\ud800", "\udfff", "é", "a\nb"])
    def test_any_text_is_matched(self, text: str) -> None:
        body = json.dumps({"aux_info": text})
        assert applied([{"drop": {"matches": {"aux_info": "(?s).{1,3}"}}}], body, Api.AUDIT).filter_reason
        assert not applied([{"drop": {"matches": {"aux_info": "x*"}}}], body, Api.AUDIT).filter_reason

    def test_only_the_first_characters_are_matched(self) -> None:
        body = json.dumps({"aux_info": "a" * 10**6 + "b"})
        assert applied([{"drop": {"matches": {"aux_info": "a*a*a*"}}}], body, Api.AUDIT).filter_reason

    def test_all_of_a_list_together(self) -> None:
        one = {"drop": {"matches": {"aux_info": "[a-z]{1,900}"}}}
        assert not problems(*[one] * 5)
        assert problems(*[one] * 30).keys() == {"$.rules"}
        small = {"mask": "@names", "when": {"matches": {"aux_info": "a"}}}
        assert problems(*[small] * 101)["$.rules"] == "it has 101 patterns; 100 at most"
