"""Processing rules of a source, as the hosted source has them: what they let through, and what they hide."""

from __future__ import annotations

import hashlib
import itertools
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs
from support import siems as support
from support.forwarding import FakeSender

from blocks.events_api.models import Api
from blocks.siem.delivery.prepare import FilteredEvent, Preparer
from blocks.siem.privacy import json_text_spans, patterns, processing, rules
from blocks.siem.privacy.rules import UNCHANGED, RuleOutcome

BODY = (
    '{"uuid":"A","action":"reveal","used_version":12,"user":{"name":"Ana Test","email":"ana@example.org"},'
    '"client":{"ip_address":"192.0.2.7","os_name":null},"note":"ana@example.org and bo@example.org"}'
)


def rule(kind: str, regexp: str, name: str = "a rule", **more: Any) -> dict[str, Any]:
    return {"name": name, "filterType": kind, "regexp": regexp, **more}


def applied(*given_rules: dict[str, Any], body: str = BODY, algorithm: str | None = None) -> RuleOutcome:
    assert not list(processing.problems(list(given_rules), "$"))
    return processing.parse(given_rules, algorithm).apply(body)


def changed(*given_rules: dict[str, Any], body: str = BODY, algorithm: str | None = None) -> Any:
    outcome = applied(*given_rules, body=body, algorithm=algorithm)
    assert outcome.filter_reason is None
    return json.loads(body if outcome.body is None else outcome.body)


def problems(*given_rules: object) -> dict[str, str]:
    return {one.path: f"{one.description}; {one.expected}" for one in processing.problems(list(given_rules), "$")}


def test_no_rules_cost_nothing() -> None:
    assert processing.NONE.empty
    assert processing.parse([]).apply("no JSON at all") is UNCHANGED


class TestChoices:
    @pytest.mark.parametrize("pattern", [".*", r".*\"action\":\"reveal\".*", "(?i).*ANA@EXAMPLE.*", r"\{.*\}"])
    def test_a_filter_that_matches_the_whole_event(self, pattern: str) -> None:
        assert (
            applied(rule("Exclude", pattern, "no")).filter_reason == 'The source\'s processing rule "no" excludes it.'
        )
        assert applied(rule("Include", pattern)) is UNCHANGED

    @pytest.mark.parametrize("pattern", ["reveal", ".*fill.*", r"\{", r".*\"action\": \"reveal\".*", "^$"])
    def test_a_filter_that_matches_a_part_of_it_or_nothing(self, pattern: str) -> None:
        assert applied(rule("Exclude", pattern)) is UNCHANGED
        assert "type Include" in str(applied(rule("Include", pattern)).filter_reason)

    def test_of_several_filters_one_is_enough_and_an_exclude_wins(self) -> None:
        this, other = ".*reveal.*", ".*fill.*"
        assert applied(rule("Include", other), rule("Include", this)) is UNCHANGED
        assert applied(rule("Exclude", other), rule("Exclude", this)).filter_reason
        assert "excludes it" in str(applied(rule("Exclude", this), rule("Include", this)).filter_reason)

    def test_filters_see_the_event_before_it_is_masked(self) -> None:
        mask = rule("Mask", r'"action":"([^"]+)"')
        assert applied(mask, rule("Exclude", ".*reveal.*")).filter_reason
        assert applied(mask, rule("Include", ".*reveal.*")).filter_reason is None

    def test_white_space_between_members_hides_nothing(self) -> None:
        body = json.dumps(json.loads(BODY), indent=2)
        assert applied(rule("Exclude", r'.*"action":"reveal".*'), body=body).filter_reason
        assert applied(rule("Exclude", r".*nothing.*"), body=body) is UNCHANGED


class TestChanges:
    def test_each_capture_group_at_every_place(self) -> None:
        made = changed(rule("Mask", r"([a-z]+)@example\.(org)", mask="xx"))
        assert made["user"]["email"] == "xx@example.xx"
        assert made["note"] == "xx@example.xx and xx@example.xx"
        assert made["user"]["name"] == "Ana Test"

    def test_without_a_group_nothing_changes_and_apply_says_so(self) -> None:
        without = rule("Mask", "ana", "mail")
        assert applied(without) is UNCHANGED
        assert list(processing.warnings([without, rule("Exclude", "ana")])) == [
            'The processing rule "mail" changes nothing: its pattern has no capture group, such as (…).'
        ]

    def test_groups_within_groups_and_groups_without_a_part(self) -> None:
        assert changed(rule("Mask", r"(a(na)@)(x)?", mask="-"))["user"]["email"] == "-example.org"

    def test_the_order_of_the_list_and_each_sees_what_the_one_before_left(self) -> None:
        first, second = rule("Mask", r"(ana)@", mask="bo"), rule("Hash", r"(bo)@")
        digest = hashlib.md5(b"bo", usedforsecurity=False).hexdigest()
        assert changed(first, second)["user"]["email"] == f"{digest}@example.org"
        assert changed(second, first)["user"]["email"] == "bo@example.org"

    @pytest.mark.parametrize(
        ("mask", "shown"),
        [(None, "#"), ("", "#"), ("***", "***"), ('"\\', '"\\'), ("0123456789abcdefXXX", "0123456789abcde")],
    )
    def test_masks(self, mask: str | None, shown: str) -> None:
        """Without one it is `#`; a long one is cut to five times what it stands for."""
        made = changed(rule("Mask", '"email":"(ana)@', **({} if mask is None else {"mask": mask})))
        assert made["user"]["email"] == f"{shown}@example.org"

    def test_a_mask_is_cut_between_characters(self) -> None:
        assert changed(rule("Mask", "A(n)a", mask="ééé"))["user"]["name"] == "Aééa Test"

    @pytest.mark.parametrize(
        ("algorithm", "name"),
        [
            (None, "md5"),
            ("MD5", "md5"),
            ("md5", "md5"),
            ("SHA-256", "sha256"),
            ("SHA256", "sha256"),
            ("sha-256", "sha256"),
        ],
    )
    def test_hashes(self, algorithm: str | None, name: str) -> None:
        made = changed(rule("Hash", '"email":"([^"]+)"'), algorithm=algorithm)
        assert made["user"]["email"] == hashlib.new(name, b"ana@example.org", usedforsecurity=False).hexdigest()

    @pytest.mark.parametrize(
        ("pattern", "path", "value"),
        [
            ('"used_version":([0-9]+)', "used_version", "#"),
            ('"used_version":1([0-9])', "used_version", "#"),
            ('"os_name":(null)', "client", {"ip_address": "192.0.2.7", "os_name": None}),
            ('("action":"reveal")', "action", "#"),
            ('"action":("reveal")', "action", "#"),
            ('("client":\\{.*?\\})', "client", {"ip_address": "#", "os_name": None}),
            ('"(user)":', "user", {"name": "Ana Test", "email": "ana@example.org"}),
            ('action":"re(veal","used_ver)sion', "action", "re#"),
        ],
    )
    def test_what_is_left_is_json_with_the_same_members(self, pattern: str, path: str, value: object) -> None:
        made = changed(rule("Mask", pattern))
        assert list(made) == list(json.loads(BODY))
        assert made[path] == value

    @pytest.mark.parametrize(
        ("text", "pattern"),
        [
            ('"a\\"b"', "(a.)"),
            ('"a\\\\b"', r"\\(.)b"),
            ('"\\u0041b"', "(u00)"),
            ('"éa"', r"(\C)a"),
            ('"éa"', r"(\C)\Ca"),
        ],
    )
    def test_an_escape_or_a_character_is_never_cut_in_two(self, text: str, pattern: str) -> None:
        made = changed(rule("Mask", pattern), body=f'{{"note":{text}}}')
        assert "#" in made["note"]

    def test_the_read_back_of_sumo_logic(self) -> None:
        both = [
            rule("Mask", '"email":"([^"]+)@', "mask mail", mask="###"),
            rule("Exclude", '.*"action":"fill".*', "no fills"),
        ]
        assert changed(*both)["user"]["email"] == "###@example.org"
        assert "no fills" in str(applied(*both, body=BODY.replace("reveal", "fill")).filter_reason)

    def test_an_event_that_would_take_too_long_is_not_sent_and_says_why(self, monkeypatch: pytest.MonkeyPatch) -> None:
        size = patterns.Pattern(".*fill.*").size * len(BODY)
        monkeypatch.setattr(processing, "WORK_MAX", size)
        assert applied(rule("Exclude", ".*fill.*")) is UNCHANGED
        monkeypatch.setattr(processing, "WORK_MAX", size - 1)
        assert "too long" in str(applied(rule("Exclude", ".*fill.*")).filter_reason)
        monkeypatch.setattr(processing, "WORK_MAX", 10 * size)
        assert "too long" in str(applied(rule("Mask", "(.)"), body=json.dumps({"note": "a" * 10_000})).filter_reason)


NASTY = [
    "(.)",
    "(.*)",
    '(")',
    r"(\\)",
    r"(\C)",
    "([^a])",
    '("[^"]*")',
    "([0-9]+)",
    "(:.)",
    "(a|)",
    "((.)(.))",
    "(,)",
    "(null|e)",
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def form(value: object) -> object:
    """The members and the elements without what they hold; null stays."""
    if isinstance(value, dict):
        return {name: form(one) for name, one in value.items()}
    if isinstance(value, list):
        return [form(one) for one in value]
    return None if value is None else "value"


@settings(deadline=None, max_examples=300)
@given(
    body=st.dictionaries(st.text(max_size=5), JSON, max_size=4),
    pattern=st.sampled_from(NASTY),
    kind=st.sampled_from(["Mask", "Hash"]),
    mask=st.text(st.characters(exclude_categories=["Cs"], exclude_characters=":"), max_size=6),
    ascii_only=st.booleans(),
)
def test_the_result_of_any_pattern_is_json_of_the_same_form(
    body: dict[str, Any], pattern: str, kind: str, mask: str, ascii_only: bool
) -> None:
    text = json.dumps(body, ensure_ascii=ascii_only, separators=(",", ":"))
    made = changed(rule(kind, pattern, mask=mask), body=text.encode(errors="replace").decode())
    assert form(made) == form(body)


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=6))
def test_joined_spans_are_in_order_and_apart(given_spans: list[json_text_spans.Span]) -> None:
    found = json_text_spans.merge_spans(given_spans)
    assert all(one[1] <= other[0] for one, other in itertools.pairwise(found))
    covered = {place for start, end in given_spans for place in range(start, end)}
    assert {place for start, end in found for place in range(start, end)} == covered


class TestBesidePrivacyRules:
    """The source's rules come first; conditions of a SIEM's rules look at the event as 1Password sent it."""

    EVENT = structs.replace(support.event(Api.ITEM_USAGE, action="reveal"), body=BODY)

    def prepared(self, source: list[dict[str, Any]], siem: list[dict[str, Any]], format_name: str = "raw") -> Any:
        rules_of_siem = rules.parse(siem, "a key of the test")
        stream = support.stream(Api.ITEM_USAGE)
        preparer = Preparer(FakeSender(), rules_of_siem, format_name, stream, processing.parse(source))  # type: ignore[arg-type]
        return preparer.prepare(self.EVENT)

    def test_what_either_drops_is_not_sent_and_says_which(self) -> None:
        source, siem = [rule("Exclude", ".*reveal.*", "x")], [{"drop": {"action": ["reveal"]}}]
        assert "processing rule" in self.prepared(source, []).reason
        assert "Rule 1 drops" in self.prepared([], siem).reason
        both = self.prepared(source, siem)
        assert isinstance(both, FilteredEvent)
        assert "processing rule" in both.reason

    def test_what_either_hides_is_hidden(self) -> None:
        source = [rule("Mask", '"name":"([^"]+)","email":"ana@example.org"', mask="xxx")]
        made = json.loads(self.prepared(source, [{"mask": ["@emails"]}]).data)
        assert made["user"] == {"name": "xxx", "email": "***"}

    def test_a_condition_sees_the_event_as_it_came(self) -> None:
        source = [rule("Mask", '"action":"(reveal)"')]
        assert isinstance(self.prepared(source, [{"drop": {"action": ["reveal"]}}]), FilteredEvent)
        when = [{"mask": ["user.name"], "when": {"action": ["reveal"]}}]
        made = json.loads(self.prepared(source, when).data)
        assert (made["action"], made["user"]["name"]) == ("#", "***")

    @pytest.mark.parametrize("format_name", support.FORMATS)
    def test_what_is_masked_is_in_no_format(self, format_name: str) -> None:
        source = [rule("Mask", r"([a-z]+)@example\.org"), rule("Hash", '"name":"([^"]*)"')]
        for siem in ([], [{"mask": ["client"]}]):
            data = self.prepared(source, siem, format_name).data
            assert b"ana@" not in data
            assert b"Ana Test" not in data


class TestFaults:
    def test_all_at_once_with_their_places(self) -> None:
        found = problems(
            "x",
            {},
            rule("Mask", "(", mask="a:b"),
            rule("Forward", "(?=a)b", "x" * 33),
            rule("mask", r"(a)\1", ""),
            rule("Masks", "", mask=3),
            rule("Hash", "(a{1000}){1000}"),
        )
        assert found == {
            "$[0]": f"it is a text; a rule such as {processing.FORM}",
            "$[1].name": "it is missing; a name of 1 to 32 characters",
            "$[1].filterType": "it is missing; one of Include, Exclude, Mask, Hash",
            "$[1].regexp": "it is missing; a regular expression, as a text",
            "$[2].regexp": "it is not a regular expression: missing ): (; "
            "the syntax of RE2 (https://github.com/google/re2/wiki/Syntax)",
            "$[2].mask": "it holds a colon or a lone surrogate; a text without them",
            "$[3].name": "it has 33 characters; a name of 1 to 32 characters",
            "$[3].filterType": '"Forward" is not a known type; one of Include, Exclude, Mask, Hash',
            "$[3].regexp": "it has look-around, which RE2 does not support; "
            "the syntax of RE2 (https://github.com/google/re2/wiki/Syntax)",
            "$[4].name": "it has 0 characters; a name of 1 to 32 characters",
            "$[4].regexp": "it has back-references, which RE2 does not support; "
            "the syntax of RE2 (https://github.com/google/re2/wiki/Syntax)",
            "$[5].filterType": '"Masks" is not a known type; "Mask"',
            "$[5].regexp": "it is empty; a regular expression, as a text",
            "$[5].mask": "it is a number; a text",
            "$[6].regexp": "it is not a regular expression: invalid repetition size: {1000}; "
            "the syntax of RE2 (https://github.com/google/re2/wiki/Syntax)",
        }

    def test_a_member_that_is_not_known_is_a_warning(self) -> None:
        one = rule("Exclude", "a", "b", enabled=False)
        assert not problems(one)
        assert list(processing.warnings([one])) == ['The processing rule "b" has "enabled", which has no effect here.']

    def test_more_than_a_hundred_or_too_large_together(self) -> None:
        assert not problems(*[rule("Exclude", "a")] * 100)
        assert problems(*[rule("Exclude", "a")] * 101) == {"$": "it has 101 patterns; 100 at most"}
        assert "too large" in problems(*[rule("Exclude", "[a-z]{1,900}")] * 30)["$"]

    @pytest.mark.parametrize("value", [{}, "x", 3])
    def test_no_list(self, value: object) -> None:
        assert [one.path for one in processing.problems(value, "$")] == ["$"]
        assert not list(processing.problems(None, "$"))

    @pytest.mark.parametrize("algorithm", ["SHA-1", "", 5, []])
    def test_another_algorithm(self, algorithm: object) -> None:
        assert [one.expected for one in processing.algorithm_problems(algorithm, "$")] == ['"MD5" or "SHA-256"']

    @settings(max_examples=50)
    @given(JSON)
    def test_any_value_is_reported_or_can_be_used(self, value: object) -> None:
        for given_rules in (value, [value], [rule("Mask", "x") | {"regexp": value}], [{"name": value, "mask": value}]):
            found = list(processing.problems(given_rules, "$"))
            assert all(problem.path.startswith("$") and problem.description and problem.expected for problem in found)
            # Rules without a problem can be used.
            assert found or processing.parse(given_rules or []).apply(BODY) is not None  # type: ignore[arg-type]
        assert list(processing.problems([{"name": value, "mask": value}], "$"))
        is_known = value is None or str(value).upper().replace("-", "") in {"MD5", "SHA256"}
        assert bool(list(processing.algorithm_problems(value, "$"))) is not is_known
