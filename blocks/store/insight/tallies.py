"""From counts to figures: each function makes a part of the report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blocks.store.insight import day_counts
from blocks.store.insight.day_counts import ABSENT, DAY_NS, HOUR_NS, MFA_FAILED, TAKING, add_counts
from blocks.store.insight.figures import (
    Activity,
    ClientVersion,
    CodePair,
    Country,
    Figure,
    ItemUsages,
    Outcomes,
    SignIns,
    TakenSecrets,
)
from blocks.store.insight.texts import TOP, largest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from blocks.store.insight.day_counts import Counts, DayCounts, Table
    from blocks.store.insight.figures import InsightQuery
    from blocks.store.insight.past import Past
    from blocks.store.insight.texts import Texts

SUCCESSES = frozenset({"success", "firewall_reported_success"})


def _buckets(query: InsightQuery) -> range:
    size = query.bucket_ns
    return range(query.since_ns // size * size, query.until_ns, size)


def _by_bucket(query: InsightQuery, hours: Table) -> dict[int, Counts]:
    """The counts of actions by the start of the hour or the day."""
    found: Table = {start: {} for start in _buckets(query)}
    for hour, counts in hours.items():
        add_counts(found.setdefault(hour * HOUR_NS // query.bucket_ns * query.bucket_ns, {}), counts)
    return dict(sorted(found.items()))


def sign_ins(query: InsightQuery, counts: DayCounts, texts: Texts) -> SignIns:
    """How sign-in attempts ended. One without a category is neither a success nor a failure."""
    good = {action for action in counts.action_types if texts.of(action) in SUCCESSES}
    known = {action for action in counts.action_types if action != ABSENT}
    failed = {action: types for action, types in counts.action_types.items() if action in known - good}
    mfa = texts.number(MFA_FAILED)
    outcomes = [
        Outcomes(start, _only(actions, good), _only(actions, known - good))
        for start, actions in _by_bucket(query, counts.hours).items()
    ]
    return SignIns(
        outcomes=outcomes,
        succeeded=sum(one.succeeded for one in outcomes),
        failed=sum(one.failed for one in outcomes),
        reasons=pairs(failed, texts),
        failed_users=texts.figures(counts.failed_users),
        failed_ips=texts.figures(counts.failed_ips),
        mfa_reasons=texts.figures(
            day_counts.inner_sum({action: failed[action] for action in mfa if action in failed}), None
        ),
        mfa_users=texts.figures(counts.mfa_users),
    )


def item_usages(query: InsightQuery, counts: DayCounts, before: Past, texts: Texts) -> ItemUsages:
    """What was done with items, and by whom."""
    by_action = largest(day_counts.outer_sum(counts.action_types), None)
    order = [action for action, _ in by_action]
    return ItemUsages(
        actions=[Figure(texts.of(action), events) for action, events in by_action],
        series=[
            Activity(start, tuple(actions.get(action, 0) for action in order))
            for start, actions in _by_bucket(query, counts.hours).items()
        ],
        vaults=texts.figures(counts.vaults),
        items=texts.figures(counts.items),
        users=texts.figures(counts.users),
        taken=_taken(query, counts, before, texts),
    )


def _taken(query: InsightQuery, counts: DayCounts, before: Past, texts: Texts) -> list[TakenSecrets]:
    """Users by how much they reveal, copy and export, the largest first."""
    numbers = [texts.number(word) for word in TAKING]
    every = set[int]().union(*numbers)
    days = before.own_days(query.since_ns // DAY_NS)
    top = largest(day_counts.outer_sum(counts.taken_actions), TOP)
    return [
        TakenSecrets(
            name,
            tuple(_only(counts.taken_actions[user], wanted) for wanted in numbers),
            events / query.days,
            _only(before.taking.get(user, {}), every) / days if days else 0.0,
        )
        for (user, events), name in zip(top, texts.of_each(user for user, _ in top), strict=True)
    ]


def countries(total: DayCounts, before: Past, texts: Texts) -> list[Country]:
    """Where events came from. Nothing is new in a store that has no events of before."""
    has_past = before.first_day is not None
    return [
        Country(
            texts.of(number), events, total.failed_countries.get(number, 0), has_past and number not in before.countries
        )
        for number, events in largest(total.countries, None)
        if number != ABSENT
    ]


def clients(total: DayCounts, texts: Texts) -> list[ClientVersion]:
    """Apps and their versions, the most frequent first."""
    found = [
        ClientVersion(texts.of(client), texts.of(version), events)
        for client, versions in total.client_versions.items()
        for version, events in versions.items()
    ]
    return sorted(found, key=lambda one: (-one.events, one.client, one.version))


def pairs(table: Table, texts: Texts) -> list[CodePair]:
    """Actions with their types, the most frequent first."""
    found = [
        CodePair(texts.of(kind), texts.of(action), events)
        for action, kinds in table.items()
        for kind, events in kinds.items()
    ]
    return sorted(found, key=lambda one: (-one.events, one.kind, one.action))


def _only(counts: Counts, wanted: Iterable[int]) -> int:
    return sum(counts.get(key, 0) for key in wanted)
