"""What the page Insight shows: counts of a span of time, by what the events are about, and lists of changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blocks.events_api import audit_topics
from blocks.store import source_status
from blocks.store.insight import counted_days, day_counts, past, tallies
from blocks.store.insight.counted_days import CountsCache
from blocks.store.insight.day_counts import ABSENT, DAY_NS, LATE_SECONDS, DayCounts
from blocks.store.insight.figures import ChangeList, QuietUser, Report
from blocks.store.insight.texts import Texts
from blocks.store.search.query import SearchQuery
from blocks.store.search.results import search

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sqlalchemy import Engine

    from blocks.store.insight.figures import InsightQuery
    from blocks.store.insight.past import Past

CHANGES = 25
"""Entries of a list of changes, and of quiet users."""
SHARED = ("countries", "failed_countries", "action_types", "client_versions", "systems")
"""Members that are counted over all APIs."""
APIS = ("sign-in", "itemUsage", "audit")


def build_report(engine: Engine, query: InsightQuery, cache: CountsCache | None = None) -> Report:
    """Count a span of time; `cache` has what was counted lately.

    Raises FirstPartyGenericError if the database fails.
    """
    cache = cache or CountsCache(0)
    apis = _streams(engine, query)
    span = counted_days.read_span(engine, apis, query.since_ns, query.until_ns, cache=cache)
    by_api = {api: span.by_api.get(api) or DayCounts() for api in APIS}
    total = day_counts.add_up(by_api.values(), SHARED)
    first, after = query.since_ns // DAY_NS, -(-query.until_ns // DAY_NS)
    before = _past(engine, apis, first, after, cache)
    texts = Texts(engine, _code_ids(total))
    quiet = before.quiet_users(set().union(*(counts.users for counts in by_api.values())), after)
    return Report(
        query=query,
        events={api: counts.events for api, counts in by_api.items()},
        sign_ins=tallies.sign_ins(query, by_api["sign-in"], texts),
        item_usages=tallies.item_usages(query, by_api["itemUsage"], before, texts),
        audits=tallies.pairs(by_api["audit"].action_types, texts),
        audit_users=texts.figures(by_api["audit"].users),
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


def _past(engine: Engine, apis: Mapping[int, str], first: int, after: int, cache: CountsCache) -> Past:
    span = [*apis], first - past.PAST_DAYS, after
    key = (*sorted(apis), first, after, counted_days.stored_days(engine, *span))
    before: Past | None = cache.find(key)
    if before is None:
        before = past.read_past(counted_days.read_past(engine, *span), apis, first)
        cache.keep(key, before)
    return before


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


def _security(engine: Engine, query: InsightQuery) -> ChangeList:
    by_type = _changes(engine, query, type=audit_topics.SECURITY_TYPES)
    by_action = _changes(engine, query, action=audit_topics.SECURITY_ACTIONS)
    unique = {one.id: one for one in (*by_type.events, *by_action.events)}
    newest = sorted(unique.values(), key=lambda one: (one.time_ns, one.id), reverse=True)
    return ChangeList(newest[:CHANGES], is_cut=by_type.is_cut or by_action.is_cut)


def _changes(engine: Engine, query: InsightQuery, **members: Iterable[str]) -> ChangeList:
    """The newest audit events with these members."""
    wanted = SearchQuery(
        query.since_ns,
        query.until_ns,
        sources=(query.source_id,) if query.source_id else (),
        apis=("audit",),
        members={name: tuple(sorted(values)) for name, values in members.items()},
    )
    found = search(engine, wanted, limit=CHANGES)
    return ChangeList(found.events, found.is_cut)
