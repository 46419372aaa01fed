"""From counts to figures: each part of the report, made from a few counts by hand."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from blocks.store.engine import open_engine
from blocks.store.insight import tallies
from blocks.store.insight.day_counts import DAY_NS, HOUR_NS, DayCounts
from blocks.store.insight.figures import Activity, ClientVersion, CodePair, Country, Figure, InsightQuery, Outcomes
from blocks.store.insight.past import Past
from blocks.store.insight.texts import TOP, Texts
from blocks.store.search.members import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SUCCESS, FIREWALL, FAILED, MFA, REVEAL, COPY, FILL, EXPORT = range(1, 9)
ACTIONS = {
    SUCCESS: "success",
    FIREWALL: "firewall_reported_success",
    FAILED: "credentials_failed",
    MFA: "mfa_failed",
    REVEAL: "reveal",
    COPY: "secure-copy",
    FILL: "fill",
    EXPORT: "export",
}
ANA, BO, CAL = 11, 12, 13
TEXTS = {ANA: "ana", BO: "bo", CAL: "cal", 21: "NZ", 22: "FR", 31: "CLI", 32: "Mac", 41: "1.0", 42: "2.0", 51: "code"}
FIRST_HOUR = 480_000  # a multiple of 24
START_NS = FIRST_HOUR * HOUR_NS
TWO_HOURS = InsightQuery(START_NS, START_NS + 2 * HOUR_NS)
EIGHT_DAYS = InsightQuery(START_NS, START_NS + 8 * DAY_NS)


@pytest.fixture(scope="module")
def texts(migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Texts]:
    path = tmp_path_factory.mktemp("texts") / "events.db"
    shutil.copy(migrated_sqlite, path)
    engine = open_engine(f"sqlite:///{path}")
    insert = text("INSERT INTO index_values (id, kind, value, day) VALUES (:id, :kind, :value, 0)")
    rows = [{"id": number, "kind": Kind.ACTION.value, "value": value} for number, value in ACTIONS.items()]
    rows += [{"id": number, "kind": Kind.ENTITY.value, "value": value} for number, value in TEXTS.items()]
    with engine.begin() as connection:
        connection.execute(insert, rows)
    yield Texts(engine, [*ACTIONS, *TEXTS])
    engine.dispose()


def test_without_events_each_bucket_is_empty(texts: Texts) -> None:
    found = tallies.sign_ins(TWO_HOURS, DayCounts(), texts)
    assert found.outcomes == [Outcomes(START_NS, 0, 0), Outcomes(START_NS + HOUR_NS, 0, 0)]
    assert (found.succeeded, found.failed, found.reasons, found.failed_users) == (0, 0, [], [])
    assert (found.mfa_reasons, found.mfa_users) == ([], [])
    usages = tallies.item_usages(TWO_HOURS, DayCounts(), Past(), texts)
    assert usages.series == [Activity(START_NS, ()), Activity(START_NS + HOUR_NS, ())]
    assert (usages.actions, usages.taken) == ([], [])
    assert tallies.countries(DayCounts(), Past(), texts) == []
    assert tallies.clients(DayCounts(), texts) == []
    assert tallies.pairs({}, texts) == []


@pytest.mark.parametrize(
    ("since_ns", "until_ns", "starts"),
    [
        (0, 1, [0]),
        (HOUR_NS - 1, HOUR_NS, [0]),
        (HOUR_NS - 1, HOUR_NS + 1, [0, HOUR_NS]),
        (HOUR_NS, 2 * HOUR_NS, [HOUR_NS]),
        (5, 3 * DAY_NS + 6, [0, DAY_NS, 2 * DAY_NS, 3 * DAY_NS]),
    ],
)
def test_the_buckets_are_whole_hours_or_days(texts: Texts, since_ns: int, until_ns: int, starts: list[int]) -> None:
    found = tallies.sign_ins(InsightQuery(since_ns, until_ns), DayCounts(), texts)
    assert [one.start_ns for one in found.outcomes] == starts


def test_sign_ins_succeed_or_fail_and_those_without_a_category_do_neither(texts: Texts) -> None:
    counts = DayCounts(
        hours={FIRST_HOUR: {SUCCESS: 2, FIREWALL: 3, FAILED: 5, 0: 7}, FIRST_HOUR + 1: {MFA: 11}},
        action_types={SUCCESS: {51: 2}, FIREWALL: {51: 3}, FAILED: {0: 1, 51: 4}, MFA: {51: 11}, 0: {51: 7}},
        failed_users={ANA: 5, BO: 11},
        mfa_users={BO: 11},
        failed_ips={0: 16},
    )
    found = tallies.sign_ins(TWO_HOURS, counts, texts)
    assert found.outcomes == [Outcomes(START_NS, 5, 5), Outcomes(START_NS + HOUR_NS, 0, 11)]
    assert (found.succeeded, found.failed) == (5, 16)
    assert found.reasons == [
        CodePair("code", "mfa_failed", 11),
        CodePair("code", "credentials_failed", 4),
        CodePair("", "credentials_failed", 1),
    ]
    assert found.failed_users == [Figure("bo", 11), Figure("ana", 5)]
    assert found.failed_ips == [Figure("", 16)]
    assert (found.mfa_reasons, found.mfa_users) == ([Figure("code", 11)], [Figure("bo", 11)])


def test_a_failed_second_factor_that_did_not_happen_has_no_reasons(texts: Texts) -> None:
    counts = DayCounts(hours={FIRST_HOUR: {FAILED: 1}}, action_types={FAILED: {51: 1}})
    assert tallies.sign_ins(TWO_HOURS, counts, texts).mfa_reasons == []


def test_the_hours_of_a_day_are_one_bucket(texts: Texts) -> None:
    hours = {FIRST_HOUR: {SUCCESS: 1}, FIRST_HOUR + 23: {SUCCESS: 2}, FIRST_HOUR + 24: {SUCCESS: 4}}
    found = tallies.sign_ins(EIGHT_DAYS, DayCounts(hours=hours, action_types={SUCCESS: {0: 7}}), texts)
    assert [one.succeeded for one in found.outcomes] == [3, 4, 0, 0, 0, 0, 0, 0]


def test_what_was_done_with_items_is_in_one_order(texts: Texts) -> None:
    counts = DayCounts(
        hours={FIRST_HOUR: {FILL: 2, REVEAL: 1}, FIRST_HOUR + 1: {FILL: 3}},
        action_types={REVEAL: {0: 1}, FILL: {0: 5}},
        vaults={41: 1, 42: 5},
    )
    found = tallies.item_usages(TWO_HOURS, counts, Past(), texts)
    assert found.actions == [Figure("fill", 5), Figure("reveal", 1)]
    assert found.series == [Activity(START_NS, (2, 1)), Activity(START_NS + HOUR_NS, (3, 0))]
    assert found.vaults == [Figure("2.0", 5), Figure("1.0", 1)]


def test_what_users_take_is_compared_with_their_days_before(texts: Texts) -> None:
    counts = DayCounts(taken_actions={ANA: {REVEAL: 2, EXPORT: 2}, BO: {COPY: 12}})
    before = Past(first_day=START_NS // DAY_NS - 10, taking={ANA: {REVEAL: 3, EXPORT: 2, FILL: 100}, CAL: {COPY: 99}})
    first, second = tallies.item_usages(EIGHT_DAYS, counts, before, texts).taken
    assert (first.user, first.counts, first.per_day, first.past_per_day) == ("bo", (0, 12, 0), 1.5, 0.0)
    assert (second.user, second.counts, second.per_day, second.past_per_day) == ("ana", (2, 0, 2), 0.5, 0.5)


def test_without_days_before_nothing_is_compared(texts: Texts) -> None:
    counts = DayCounts(taken_actions={ANA: {REVEAL: 2}})
    (one,) = tallies.item_usages(EIGHT_DAYS, counts, Past(taking={ANA: {REVEAL: 5}}), texts).taken
    assert (one.past_per_day, one.factor) == (0.0, None)


def test_the_list_of_users_who_take_most_is_short(texts: Texts) -> None:
    counts = DayCounts(taken_actions={user: {REVEAL: 1000 - user} for user in range(100, 101 + TOP)})
    found = tallies.item_usages(EIGHT_DAYS, counts, Past(), texts).taken
    assert [one.events for one in found] == [1000 - user for user in range(100, 100 + TOP)]


def test_countries_are_new_if_the_days_before_have_others(texts: Texts) -> None:
    total = DayCounts(countries={21: 3, 22: 5, 0: 9}, failed_countries={21: 2})
    assert tallies.countries(total, Past(first_day=1, countries={22}), texts) == [
        Country("FR", 5, 0, is_new=False),
        Country("NZ", 3, 2, is_new=True),
    ]
    assert [one.is_new for one in tallies.countries(total, Past(), texts)] == [False, False], "there is no past"


def test_clients_and_pairs_are_sorted_by_their_number_and_then_by_their_text(texts: Texts) -> None:
    found = tallies.clients(DayCounts(client_versions={32: {42: 1, 41: 1}, 31: {41: 1, 42: 7}}), texts)
    assert found == [
        ClientVersion("CLI", "2.0", 7),
        ClientVersion("CLI", "1.0", 1),
        ClientVersion("Mac", "1.0", 1),
        ClientVersion("Mac", "2.0", 1),
    ]
    pairs = tallies.pairs({REVEAL: {51: 1}, FILL: {51: 1, 0: 2, 41: 1}}, texts)
    assert pairs == [
        CodePair("", "fill", 2),
        CodePair("1.0", "fill", 1),
        CodePair("code", "fill", 1),
        CodePair("code", "reveal", 1),
    ]
