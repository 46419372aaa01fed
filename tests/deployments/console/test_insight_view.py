"""The page Insight: its span of time, names in place of ids, words in place of codes, and links to events."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest

from blocks.store.insight.day_counts import DAY_NS, HOUR_NS
from blocks.store.insight.figures import (
    Activity,
    ChangeList,
    Country,
    Figure,
    InsightQuery,
    ItemUsages,
    Outcomes,
    QuietUser,
    Report,
    SignIns,
    TakenSecrets,
)
from blocks.store.insight.values import KnownName
from blocks.store.search.results import EventHit
from deployments.console import insight_view
from deployments.console.insight_view import (
    DAYS_MAX,
    Change,
    CountryRow,
    InsightView,
    RankedValue,
    Span,
    parse_days,
    read_span,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from support.moving_clock import MovingClock

NOON_NS = 1_700_049_600 * 10**9  # 2023-11-15T12:00:00Z
SINCE_NS = NOON_NS - 7 * DAY_NS
TIMES = {"from": ["2023-11-08T12:00:00Z"], "to": ["2023-11-15T12:00:00Z"]}
NAMES = {
    "U1": KnownName("Ada", "ada@example.org"),
    "U2": KnownName(None, "bo@example.org"),
    "V1": KnownName("Vault"),
    "E1": KnownName(None, None),
}


@pytest.fixture
def noon(moving: MovingClock) -> None:
    """It is noon."""
    moving.advance((NOON_NS - moving.now_ns()) / 10**9)


@pytest.mark.usefixtures("noon")
@pytest.mark.parametrize(
    ("given", "since", "until", "shown"),
    [
        (("24h", "", ""), 1, 0, ("24h", "", "")),
        (("30d", "", ""), 30, 0, ("30d", "", "")),
        (("120d", "", ""), 120, 0, ("120d", "", "")),
        (("moon", "", ""), 7, 0, ("7d", "", "")),
        (("", "", ""), 7, 0, ("7d", "", "")),
        (("30d", "2d", "1d"), 2, 1, ("", "2d", "1d")),
        (("30d", "2d", ""), 2, 0, ("", "2d", "")),
        (("30d", "", "1d"), 8, 1, ("", "", "1d")),
        (("7d", "2023-11-14", "2023-11-15"), 1.5, 0.5, ("", "2023-11-14", "2023-11-15")),
        (("7d", f"{DAYS_MAX}d", ""), DAYS_MAX, 0, ("", f"{DAYS_MAX}d", "")),
    ],
)
def test_a_span_is_a_preset_or_two_times(
    given: tuple[str, str, str], since: float, until: float, shown: tuple[str, str, str]
) -> None:
    found = read_span(*given, "S")
    assert found.query == InsightQuery(NOON_NS - int(since * DAY_NS), NOON_NS - int(until * DAY_NS), "S")
    assert (found.last, found.since, found.until, found.problem) == (*shown, "")


APART = f"Choose a start before the end, at most {DAYS_MAX} days apart."


@pytest.mark.usefixtures("noon")
@pytest.mark.parametrize(
    ("since", "until", "problem"),
    [
        ("1d", "2d", APART),
        ("1d", "1d", APART),
        (f"{DAYS_MAX + 1}d", "", APART),
        ("moon", "", "'moon' is not a time: it is neither a duration nor a time."),
        ("1d", "moon", "'moon' is not a time: it is neither a duration nor a time."),
    ],
)
def test_a_span_that_is_none_is_the_default_with_the_problem(since: str, until: str, problem: str) -> None:
    found = read_span("30d", since, until, None)
    assert found == Span(InsightQuery(SINCE_NS, NOON_NS, None), "7d", problem=problem)


@pytest.mark.parametrize(("preset", "days"), [("24h", 1), ("7d", 7), ("120d", 120)])
def test_a_preset_has_its_length(preset: str, days: int) -> None:
    assert parse_days(preset) == days * DAY_NS


def hit(id_: int, body: str) -> EventHit:
    return EventHit(id_, 1, "1Pass", "S", "audit", f"E{id_}", NOON_NS - id_, NOON_NS, body)


def audit(id_: int, **members: Any) -> EventHit:
    return hit(id_, json.dumps(members))


def report(**members: Any) -> Report:
    """A report of a week without figures, but for these members."""
    query = members.pop("query", InsightQuery(SINCE_NS, NOON_NS, None))
    signs = {"outcomes": [], "succeeded": 0, "failed": 0, "reasons": [], "failed_users": [], "failed_ips": [],
             "mfa_reasons": [], "mfa_users": []}  # fmt: skip
    usages = dict.fromkeys(("actions", "series", "vaults", "items", "users", "taken"), ())
    lists = dict.fromkeys(("audits", "audit_users", "countries", "clients", "systems", "quiet_users"), ())
    return Report(
        query,
        events={},
        sign_ins=SignIns(**{**signs, **members.pop("sign_ins", {})}),
        item_usages=ItemUsages(**{**usages, **members.pop("item_usages", {})}),
        **{
            **lists,
            "quiet_count": 0,
            "late": {},
            "security": ChangeList(members.pop("security", []), is_cut=False),
            "access": ChangeList(members.pop("access", []), is_cut=False),
            "missing": 0,
            "past_missing": 0,
            **members,
        },
    )


class Names:
    """The names that the store knows, and the ids that it was requested for."""

    def __init__(self) -> None:
        self.requested: set[str] = set()

    def __call__(self, engine: object, ids: Iterable[str]) -> dict[str, KnownName]:
        assert engine == "the store"
        self.requested = set(ids)
        return {one: NAMES[one] for one in self.requested if one in NAMES}


@pytest.fixture(autouse=True)
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    own = Names()
    monkeypatch.setattr(insight_view, "known_names", own)
    return own


def view(**members: Any) -> InsightView:
    made = report(**members)
    return InsightView("the store", made, Span(made.query, "7d"))  # type: ignore[arg-type]


def events_of(link: str) -> dict[str, list[str]]:
    """The parameters of an address of events, without the times of the span."""
    parts = urlsplit(link)
    assert parts.path == "/console/events"
    found = parse_qs(parts.query)
    assert {name: found.pop(name) for name in TIMES} == TIMES
    return found


def test_an_id_has_a_name_an_address_or_itself() -> None:
    made = view(audit_users=[Figure(one, 1) for one in ("U1", "U2", "E1", "X")])
    assert [made.name(one) for one in ("U1", "U2", "E1", "X")] == ["Ada", "bo@example.org", "E1", "X"]
    assert [made.has_name(one) for one in ("U1", "U2", "E1", "X")] == [True, True, False, False]


def test_the_names_of_every_id_of_the_page_are_read(names: Names) -> None:
    view(
        sign_ins={
            "failed_users": [Figure("1", 1)],
            "mfa_users": [Figure("2", 1)],
            "failed_ips": [Figure("192.0.2.1", 1)],
        },
        item_usages={
            "vaults": [Figure("3", 1)],
            "items": [Figure("4", 1)],
            "users": [Figure("5", 1)],
            "taken": [TakenSecrets("6", (1,), 1.0, 0.0)],
        },
        audit_users=[Figure("7", 1)],
        quiet_users=[QuietUser("8", 1)],
        security=[audit(1, actor_uuid="9", object_uuid="10", aux_uuid="11")],
        access=[audit(2, actor_details={"uuid": "12"}, actor_uuid="13", object_details={"uuid": "14"})],
    )
    assert names.requested - {""} == {"1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "14"}


def test_a_number_leads_to_the_events_of_the_span() -> None:
    assert events_of(view().events(api="audit", user="U 1&")) == {"api": ["audit"], "user": ["U 1&"]}
    of_source = view(query=InsightQuery(SINCE_NS, NOON_NS, "S"))
    assert events_of(of_source.events(country=["NZ", "New Zealand"])) == {
        "source": ["S"],
        "country": ["NZ", "New Zealand"],
    }


def test_a_number_of_an_absent_member_leads_nowhere() -> None:
    assert view().events(user="", api="audit") == ""
    assert view().events(user=None) != ""


@pytest.mark.parametrize(
    ("since_ns", "until_ns", "shown"),
    [
        (NOON_NS - HOUR_NS, NOON_NS, ("2023-11-15T11:00:00Z", "2023-11-15T12:00:00Z")),
        (SINCE_NS - HOUR_NS, SINCE_NS + HOUR_NS, ("2023-11-08T12:00:00Z", "2023-11-08T13:00:00Z")),
        (NOON_NS - HOUR_NS, NOON_NS + HOUR_NS, ("2023-11-15T11:00:00Z", "2023-11-15T12:00:00Z")),
    ],
)
def test_a_column_leads_to_its_events_within_the_span(since_ns: int, until_ns: int, shown: tuple[str, str]) -> None:
    found = parse_qs(urlsplit(view().bucket(since_ns, until_ns, api="audit")).query)
    assert found == {"from": [shown[0]], "to": [shown[1]], "api": ["audit"]}


def test_a_list_has_names_and_links_and_none_without_a_value() -> None:
    figures = [Figure("U1", 5), Figure("X", 2), Figure("", 1)]
    first, second, none = view(audit_users=figures).ranking("user", figures, api="audit")
    assert (first.name, first.value, first.events) == ("Ada", "U1", 5)
    assert events_of(first.link) == {"user": ["U1"], "api": ["audit"]}
    assert second.name == "X"
    assert none == RankedValue("none", "", 1, "")


def test_countries_are_merged_by_their_name_and_the_most_comes_first() -> None:
    countries = [
        Country("NZ", 3, 1, is_new=True),
        Country("Atlantis", 5, 0, is_new=True),
        Country("New Zealand", 2, 4, is_new=True),
        Country("DE", 9, 0, is_new=True),
        Country("Germany", 1, 0, is_new=False),
    ]
    germany, atlantis, zealand = view(countries=countries).country_rows()
    assert germany[:5] == ("Germany", "DE", 10, 0, False)
    assert atlantis[:5] == ("Atlantis", "Atlantis", 5, 0, True)
    assert zealand[:5] == ("New Zealand", "NZ", 5, 5, True)
    assert events_of(zealand.link) == {"country": ["NZ", "New Zealand"]}
    assert events_of(zealand.failed_link) == {"country": ["NZ", "New Zealand"], "api": ["sign-in"], "failed": ["yes"]}
    assert isinstance(zealand, CountryRow)


def test_the_charts_have_a_column_for_each_day() -> None:
    outcomes = [Outcomes(SINCE_NS, 3, 1), Outcomes(SINCE_NS + DAY_NS, 0, 2)]
    usages = {"actions": [Figure("reveal", 2), Figure("x_new", 1)], "series": [Activity(SINCE_NS, (2, 1))]}
    made = view(sign_ins={"outcomes": outcomes}, item_usages=usages)
    assert made.sign_in_chart.names == ["succeeded", "failed"]
    assert [(one.since_ns, one.until_ns, one.counts) for one in made.sign_in_chart.columns] == [
        (SINCE_NS, SINCE_NS + DAY_NS, (3, 1)),
        (SINCE_NS + DAY_NS, SINCE_NS + 2 * DAY_NS, (0, 2)),
    ]
    (column,) = made.item_chart.columns
    assert (column.counts, len(made.item_chart.names)) == ((2, 1), 2)
    assert made.item_chart.names[0] != "reveal", "a code has words"
    assert "x_new" in made.item_chart.names[1]


@pytest.mark.parametrize(
    ("succeeded", "failed", "share"), [(0, 0, None), (1, 0, 0.0), (0, 2, 100.0), (2, 1, 33.3), (999, 1, 0.1)]
)
def test_the_share_of_failed_attempts_is_in_percent(succeeded: int, failed: int, share: float | None) -> None:
    assert view(sign_ins={"succeeded": succeeded, "failed": failed}).failed_share == share


def test_late_events_are_counted_by_class_and_in_all() -> None:
    late = {"audit": (1, 2, 0, 0, 0, 4), "sign-in": (0,) * 6}
    assert view(late=late).late_rows() == [("audit", (1, 2, 0, 0, 0, 4), 7), ("sign-in", (0,) * 6, 0)]


def change(**members: Any) -> Change:
    (found,) = view(security=[audit(5, **members)]).security
    return found


def test_a_change_is_in_words_with_names_and_a_link() -> None:
    found = change(
        object_type="gm", action="join", actor_uuid="U1", object_uuid="G1", aux_uuid="U2", aux_info="A",
    )  # fmt: skip
    assert (found.actor, found.object, found.aux, found.note) == ("Ada", "G1", "bo@example.org", "manager")
    assert found.time_ns == NOON_NS - 5
    assert found.words
    assert "gm" not in found.words
    assert events_of(found.link) == {"api": ["audit"], "event": ["5"]}


@pytest.mark.parametrize(
    ("kind", "info", "note"),
    [("gm", "R", "member"), ("gm", "A", "manager"), ("gm", "Z", "Z"), ("uva", "A", "A"), ("uva", None, "")],
)
def test_a_role_is_a_word_in_a_group_alone(kind: str, info: str | None, note: str) -> None:
    assert change(object_type=kind, action="join", aux_info=info).note == note


def test_what_an_event_says_of_an_object_comes_before_what_is_known_otherwise() -> None:
    found = change(
        actor_uuid="U1",
        actor_details={"uuid": "U2", "name": "In the event"},
        object_uuid="V1",
        object_details={"uuid": "X", "name": "Named"},
        aux_uuid="V1",
        aux_details={"email": "cy@example.org"},
    )
    assert (found.actor, found.object, found.aux) == ("bo@example.org", "Named", "cy@example.org")
    assert change(object_details={"uuid": "V1"}, object_uuid="U1").object == "Vault"
    assert change(object_uuid="V1").object == "Vault"


def test_an_actor_without_an_id_is_shown_by_the_address() -> None:
    assert change(actor_details={"email": "dee@example.org", "name": "Dee"}).actor == "dee@example.org"
    assert change().actor == ""


@pytest.mark.parametrize(
    "body",
    ["", "null", "[]", "5", "{", "[" * 100_000, '{"actor_uuid": 5, "object_details": [], "aux_details": {"uuid": {}}}'],
)
def test_an_event_of_any_form_is_a_change_without_names(body: str) -> None:
    (found,) = view(access=[hit(1, body)]).access
    assert (found.actor, found.object, found.aux, found.note) == ("", "", "", "")
    assert events_of(found.link) == {"api": ["audit"], "event": ["1"]}


def test_a_text_that_cannot_be_encoded_is_shown_with_a_sign() -> None:
    found = change(object_details={"name": "a\ud800b\0c"}, aux_details={"name": "é"})
    assert (found.object, found.aux) == ("a?b\ufffdc", "é")


def test_a_whole_number_of_any_length_is_no_problem() -> None:
    (found,) = view(security=[hit(1, '{"aux_id": ' + "9" * 5000 + ', "actor_uuid": "U1"}')]).security
    assert found.actor == "Ada"
