"""The figures of the page Insight, computed from the bodies in plain Python, to compare with the store's queries."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Engine

GOOD = ("success", "firewall_reported_success")
TAKING = ("reveal", "secure-copy", "export")
DAY_NS, HOUR_NS = 86_400 * 10**9, 3600 * 10**9
NAMES = {"itemUsage": "user", "sign-in": "target_user"}


class Seen(NamedTuple):
    """One event with its parsed body."""

    api: str
    source_id: str
    time_ns: int
    received_ns: int
    body: dict[str, Any]

    @property
    def user(self) -> str:
        details = self.body.get(NAMES.get(self.api, "actor_details")) or {}
        return details.get("uuid") or self.body.get("actor_uuid") or details.get("email") or details.get("name") or ""

    @property
    def action(self) -> str:
        return self.body.get("category" if self.api == "sign-in" else "action") or ""

    @property
    def type(self) -> str:
        return self.body.get({"sign-in": "type", "audit": "object_type"}.get(self.api, "")) or ""

    @property
    def failed(self) -> bool:
        return self.api == "sign-in" and self.action not in ("", *GOOD)

    @property
    def country(self) -> str:
        named = self.body.get("country") or "", (self.body.get("location") or {}).get("country") or ""
        return next((name for name in named if len(name) == 2), named[0] or named[1])

    def of_client(self, member: str) -> str:
        return (self.body.get("client") or {}).get(member) or ""


def read_all(engine: Engine) -> list[Seen]:
    """Every event of the store."""
    query = (
        "SELECT s.api, s.source_id, e.time_ns, e.received_ns, e.body FROM events e JOIN streams s ON s.id = e.stream_id"
    )
    with engine.connect() as connection:
        rows = connection.execute(text(query)).all()
    return [Seen(row.api, row.source_id, row.time_ns, row.received_ns, json.loads(row.body)) for row in rows]


def ranked(values: Iterable[str]) -> dict[str, int]:
    return dict(Counter(values))


def late_class(seen: Seen) -> int:
    seconds = (seen.received_ns - seen.time_ns) // 10**9
    return next((at for at, most in enumerate((60, 300, 3600, 6 * 3600, 86_400)) if seconds <= most), 5)


def reckon(everything: list[Seen], since_ns: int, until_ns: int) -> dict[str, Any]:
    """All figures of the events from `since_ns` up to and without `until_ns`; lists are not sorted."""
    span = [one for one in everything if since_ns <= one.time_ns < until_ns]
    first, after = since_ns // DAY_NS, -(-until_ns // DAY_NS)
    before = [one for one in everything if first - 120 <= one.time_ns // DAY_NS < first]
    signs, usages, audits = ([one for one in span if one.api == api] for api in ("sign-in", "itemUsage", "audit"))
    failed = [one for one in signs if one.failed]
    mfa = [one for one in failed if one.action == "mfa_failed"]
    size = HOUR_NS if until_ns - since_ns <= 3 * DAY_NS else DAY_NS
    last: dict[str, int] = {}
    for one in everything:
        if first - 120 <= one.time_ns // DAY_NS < after and one.user:
            last[one.user] = max(last.get(one.user, -(10**9)), one.time_ns // DAY_NS)
    own = min((first - min(one.time_ns // DAY_NS for one in before)), 30) if before else 0
    taken = ranked(one.user for one in usages if one.action in TAKING)
    past = ranked(
        one.user
        for one in before
        if one.api == "itemUsage" and one.action in TAKING and one.time_ns // DAY_NS >= first - 30
    )
    return {
        "events": {api: sum(one.api == api for one in span) for api in ("sign-in", "itemUsage", "audit")},
        "good by bucket": ranked(str(one.time_ns // size * size) for one in signs if one.action in GOOD),
        "failed by bucket": ranked(str(one.time_ns // size * size) for one in failed),
        "reasons": ranked(f"{one.type}|{one.action}" for one in failed),
        "failed users": ranked(one.user for one in failed),
        "failed ips": ranked(one.of_client("ip_address") for one in failed),
        "mfa reasons": ranked(one.type for one in mfa),
        "mfa users": ranked(one.user for one in mfa),
        "item actions": ranked(one.action for one in usages),
        "item actions by bucket": ranked(f"{one.time_ns // size * size}|{one.action}" for one in usages),
        "vaults": ranked(one.body["vault_uuid"] for one in usages if one.body.get("vault_uuid")),
        "items": ranked(one.body["item_uuid"] for one in usages if one.body.get("item_uuid")),
        "item users": ranked(one.user for one in usages),
        "taken": {
            user: (
                tuple(sum(one.user == user and one.action == word for one in usages) for word in TAKING),
                round(events / ((until_ns - since_ns) / DAY_NS), 9),
                round(past.get(user, 0) / own if own else 0.0, 9),
            )
            for user, events in taken.items()
        },
        "audits": ranked(f"{one.type}|{one.action}" for one in audits),
        "audit users": ranked(one.user for one in audits),
        "countries": {
            name: (
                events,
                sum(one.country == name for one in failed),
                bool(before) and name not in {one.country for one in before},
            )
            for name, events in ranked(one.country for one in span if one.country).items()
        },
        "clients": ranked(
            f"{one.of_client('app_name')}|{one.of_client('app_version')}" for one in span if one.of_client("app_name")
        ),
        "systems": ranked(one.of_client("os_name") for one in span if one.of_client("os_name")),
        "quiet": {
            user: day for user, day in last.items() if day < after - 30 and user not in {one.user for one in span}
        },
        "late": {
            api: tuple(sum(one.api == api and late_class(one) == at for one in span) for at in range(6))
            for api in ("sign-in", "itemUsage", "audit")
        },
    }
