"""What the page Insight shows: counts of a span of time, by what the events are about, and lists of changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blocks.events_api import audit_topics
from blocks.store import source_status
from blocks.store.insight import counted_days, day_counts, past, tallies
from blocks.store.insight.day_counts import ABSENT, DAY_NS, LATE_SECONDS
from blocks.store.insight.figures import QuietUser, Report
from blocks.store.insight.texts import Texts
from blocks.store.search.query import SearchQuery
from blocks.store.search.results import search

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import Engine

    from blocks.store.insight.day_counts import DayCounts
    from blocks.store.insight.figures import InsightQuery
    from blocks.store.search.results import EventHit

CHANGES = 25
"""Entries of a list of changes, and of quiet users."""
APIS = ("sign-in", "itemUsage", "audit")


def build_report(engine: Engine, query: InsightQuery) -> Report:
    """Count a span of time. Raises FirstPartyGenericError if the database fails."""
    apis = _streams(engine, query)
    span = counted_days.read_span(engine, [*apis], query.since_ns, query.until_ns)
    by_api = {api: day_counts.add_up(c for id_, c in span.by_stream.items() if apis[id_] == api) for api in APIS}
    total = day_counts.add_up(by_api.values())
    first, after = query.since_ns // DAY_NS, -(-query.until_ns // DAY_NS)
    days = counted_days.read_past(engine, [*apis], first - past.PAST_DAYS, after)
    before = past.read_past(days, apis, first)
    texts = Texts(engine, _code_ids(total))
    quiet = before.quiet_users(total.user_actions, after)
    return Report(
        query=query,
        events={api: counts.events for api, counts in by_api.items()},
        sign_ins=tallies.sign_ins(query, by_api["sign-in"], texts),
        item_usages=tallies.item_usages(query, by_api["itemUsage"], before, texts),
        audits=tallies.pairs(by_api["audit"].action_types, texts),
        audit_users=texts.figures(day_counts.outer_sum(by_api["audit"].user_actions)),
        countries=tallies.countries(total, before, texts),
        clients=tallies.clients(total, texts),
        systems=texts.figures(total.systems, None),
        quiet_users=_named(quiet[:CHANGES], texts),
        quiet_count=len(quiet),
        late={api: _late(counts) for api, counts in by_api.items()},
        security=_security(engine, query),
        access=_changes(engine, query, type=audit_topics.ACCESS_TYPES),
        missing=span.missing,
        past_missing=counted_days.uncounted_days(engine, [*apis], first - past.PAST_DAYS, first),
    )


def _late(counts: DayCounts) -> tuple[int, ...]:
    return tuple(counts.late.get(at, 0) for at in range(len(LATE_SECONDS) + 1))


def _named(users: Sequence[tuple[int, int]], texts: Texts) -> list[QuietUser]:
    names = texts.of_each(user for user, _ in users)
    return [QuietUser(name, day) for name, (_, day) in zip(names, users, strict=True)]


def _streams(engine: Engine, query: InsightQuery) -> dict[int, str]:
    """The APIs of the streams, by stream id."""
    sources = source_status.sources(engine)
    wanted = [source for source in sources if query.source_id in {None, source.id}]
    return {stream.id: stream.api for source in wanted for stream in source.streams}


def _code_ids(total: DayCounts) -> set[int]:
    """The numbers of codes, countries, apps and systems: there are few of them, whatever the number of events."""
    ids = {*total.action_types, *total.countries, *total.client_versions, *total.systems}
    for table in (total.action_types, total.client_versions):
        ids |= {inner for counts in table.values() for inner in counts}
    return ids - {ABSENT}


def _security(engine: Engine, query: InsightQuery) -> list[EventHit]:
    found = [
        *_changes(engine, query, type=audit_topics.SECURITY_TYPES),
        *_changes(engine, query, action=audit_topics.SECURITY_ACTIONS),
    ]
    unique = {one.id: one for one in found}
    return sorted(unique.values(), key=lambda one: (one.time_ns, one.id), reverse=True)[:CHANGES]


def _changes(engine: Engine, query: InsightQuery, **members: Iterable[str]) -> Sequence[EventHit]:
    """The newest audit events with these members."""
    wanted = SearchQuery(
        query.since_ns,
        query.until_ns,
        sources=(query.source_id,) if query.source_id else (),
        apis=("audit",),
        members={name: tuple(sorted(values)) for name, values in members.items()},
    )
    return search(engine, wanted, limit=CHANGES).events
