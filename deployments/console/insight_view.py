"""What the page Insight shows of a report: names in place of ids, words in place of codes, and links to events."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from blocks import clock
from blocks.durations import parse_time
from blocks.errors import ThirdPartyConfigError
from blocks.events_api import action_words
from blocks.events_api.audit_topics import ROLES
from blocks.store.insight.day_counts import DAY_NS
from blocks.store.insight.figures import InsightQuery, Report
from blocks.store.insight.values import KnownName, known_names
from deployments.console import charts, world_map
from deployments.console.templates import query_string
from deployments.terminal_output import format_rfc3339

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from sqlalchemy import Engine

    from blocks.store.insight.figures import Figure
    from blocks.store.search.results import EventHit
    from deployments.console.charts import Chart

PRESETS = {"24h": "24 hours", "7d": "7 days", "30d": "30 days", "90d": "90 days", "120d": "120 days"}
DEFAULT = "7d"
DAYS_MAX = 400
LATENESS = ("1 min", "5 min", "1 h", "6 h", "1 d", "longer")
EVENTS = "/console/events"


class Change(NamedTuple):
    """An audit event in words: who did what, to what, for whom, and a role or another note."""

    time_ns: int
    link: str
    actor: str
    words: str
    object: str
    aux: str
    note: str


class RankedValue(NamedTuple):
    """A row of a list: the name of a value, the value, how many events have it, and the address of these."""

    name: str
    value: str
    events: int
    link: str


class CountryRow(NamedTuple):
    """A country, by its code if the map has it, and the addresses of its events and of its failed sign-in attempts."""

    name: str
    code: str
    events: int
    failed: int
    is_new: bool
    link: str
    failed_link: str


@dataclass(frozen=True, slots=True)
class Span:
    """The span of time of the page: a preset, or two times as they were given. A problem says why it is the default."""

    query: InsightQuery
    last: str
    since: str = ""
    until: str = ""
    problem: str = ""


def read_span(last: str, since: str, until: str, source_id: str | None) -> Span:
    """The span that the parameters of the address name; the default if they cannot be read."""
    now_ns = clock.now_ns()
    try:
        if since or until:
            until_ns = parse_time(until, now_ns) if until else now_ns
            since_ns = parse_time(since, now_ns) if since else until_ns - parse_days(DEFAULT)
            if since_ns < until_ns and until_ns - since_ns <= DAYS_MAX * DAY_NS:
                return Span(InsightQuery(since_ns, until_ns, source_id), "", since, until)
            return _default(now_ns, source_id, f"Choose a start before the end, at most {DAYS_MAX} days apart.")
    except ThirdPartyConfigError as error:
        return _default(now_ns, source_id, error.message)
    chosen = last if last in PRESETS else DEFAULT
    return Span(InsightQuery(now_ns - parse_days(chosen), now_ns, source_id), chosen)


def parse_days(preset: str) -> int:
    """The nanoseconds of a preset."""
    return DAY_NS if preset == "24h" else int(preset.removesuffix("d")) * DAY_NS


def _default(now_ns: int, source_id: str | None, problem: str) -> Span:
    return Span(InsightQuery(now_ns - parse_days(DEFAULT), now_ns, source_id), DEFAULT, problem=problem)


class InsightView:
    """The report for the template. Every text of it may come from outside, and is escaped there."""

    def __init__(self, engine: Engine, report: Report, span: Span) -> None:
        self.report, self.span = report, span
        bodies = {one.id: _body(one) for one in [*report.security.events, *report.access.events]}
        self._names: Mapping[str, KnownName] = known_names(engine, _ids(report, bodies.values()))
        self.security = [self._change(one, bodies[one.id]) for one in report.security.events]
        self.access = [self._change(one, bodies[one.id]) for one in report.access.events]

    def name(self, uuid: str) -> str:
        """The name of an id, or the id; of a user, the address if there is no name."""
        known = self._names.get(uuid)
        return (known.text if known else "") or uuid

    def has_name(self, uuid: str) -> bool:
        return self.name(uuid) != uuid

    def events(self, **members: Any) -> str:
        """The address of the events behind a number: those of the span and the source, with these members.

        It has the times themselves, so that it leads to the same events tomorrow. It is empty if a member is: events
        cannot be searched by what they do not have.
        """
        if "" in members.values():
            return ""
        query = self.report.query
        given = {**_times(query.since_ns, query.until_ns), "source": query.source_id, **members}
        return f"{EVENTS}{query_string(given)}"

    def bucket(self, since_ns: int, until_ns: int, **members: Any) -> str:
        """The address of the events of a column of a chart."""
        query = self.report.query
        return self.events(**_times(max(since_ns, query.since_ns), min(until_ns, query.until_ns)), **members)

    def ranking(self, member: str, figures: Iterable[Figure], **members: Any) -> list[RankedValue]:
        """The rows of a list of values of a member, each with its events."""
        return [
            RankedValue(
                self.name(one.value) if one.value else "none",
                one.value,
                one.events,
                self.events(**{member: one.value}, **members),
            )
            for one in figures
        ]

    def country_rows(self) -> list[CountryRow]:
        """The countries by name: an event may have its code or its name."""
        rows = []
        for code, found in world_map.by_country(self.report.countries).items():
            values = [one.value for one in found]
            events, failed = sum(one.events for one in found), sum(one.failed for one in found)
            rows.append(
                CountryRow(
                    world_map.country_name(code),
                    code,
                    events,
                    failed,
                    is_new=all(one.is_new for one in found),
                    link=self.events(country=values),
                    failed_link=self.events(country=values, api="sign-in", failed="yes"),
                )
            )
        return sorted(rows, key=lambda one: (-one.events, one.name))

    @property
    def sign_in_chart(self) -> Chart:
        rows = [(one.start_ns, (one.succeeded, one.failed)) for one in self.report.sign_ins.outcomes]
        return charts.stack(rows, ("succeeded", "failed"), self.report.query.bucket_ns)

    @property
    def item_chart(self) -> Chart:
        usages = self.report.item_usages
        names = [action_words.describe_item_usage(one.value) for one in usages.actions]
        return charts.stack([(one.start_ns, one.counts) for one in usages.series], names, self.report.query.bucket_ns)

    @property
    def failed_share(self) -> float | None:
        """The failed part of all sign-in attempts, in percent; None if there were none."""
        signs = self.report.sign_ins
        total = signs.succeeded + signs.failed
        return round(signs.failed / total * 100, 1) if total else None

    def late_rows(self) -> list[tuple[str, Sequence[int], int]]:
        """For each API the counts by class of lateness, and their sum."""
        return [(api, counts, sum(counts)) for api, counts in self.report.late.items()]

    def _change(self, one: EventHit, body: Mapping[str, Any]) -> Change:
        kind, action, note = (_text(body.get(name)) for name in ("object_type", "action", "aux_info"))
        actor = _uuid(body, "actor") or _text(_part(body, "actor_details").get("email"))
        return Change(
            time_ns=one.time_ns,
            link=self.events(api="audit", event=one.id),
            actor=self.name(actor),
            words=action_words.describe_audit(kind, action),
            object=self._described(body, "object"),
            aux=self._described(body, "aux"),
            note=ROLES.get(note, note) if kind == "gm" else note,
        )

    def _described(self, body: Mapping[str, Any], role: str) -> str:
        """The name of an object: as the event has it, or as it is known otherwise."""
        details = _part(body, f"{role}_details")
        return _text(details.get("name")) or _text(details.get("email")) or self.name(_uuid(body, role))


def _times(since_ns: int, until_ns: int) -> dict[str, str | None]:
    return {"from": format_rfc3339(since_ns), "to": format_rfc3339(until_ns)}


def _ids(report: Report, bodies: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Every id that the page may show."""
    signs, items = report.sign_ins, report.item_usages
    for figures in (signs.failed_users, signs.mfa_users, items.vaults, items.items, items.users, report.audit_users):
        yield from (one.value for one in figures)
    yield from (one.user for one in items.taken)
    yield from (one.user for one in report.quiet_users)
    for body in bodies:
        yield from (_uuid(body, role) for role in ("actor", "object", "aux"))


def _uuid(body: Mapping[str, Any], role: str) -> str:
    return _text(_part(body, f"{role}_details").get("uuid")) or _text(body.get(f"{role}_uuid"))


def _body(one: EventHit) -> Mapping[str, Any]:
    try:
        value = json.loads(one.body, parse_int=float)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _part(body: Mapping[str, Any], member: str) -> Mapping[str, Any]:
    part = body.get(member)
    return part if isinstance(part, dict) else {}


def _text(value: object) -> str:
    """A text that can be encoded; empty for anything else."""
    if not isinstance(value, str):
        return ""
    return value.encode(errors="replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")
