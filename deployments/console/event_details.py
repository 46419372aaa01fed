"""One event with everything that the store knows of it: members, body, its place in the hash chain, and its SIEMs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import text

from blocks.events_api.models import Api
from blocks.siem.privacy import processing, rules
from blocks.store.engine import is_sqlite, reading, store_errors
from blocks.store.integrity.digests import body_digest
from blocks.store.search.results import read_events

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection, Engine, Row

    from blocks.store.search.results import EventHit

MEMBERS_MAX, DEPTH_MAX, SHOWN_MAX = 400, 20, 2000
_UNKNOWN_KEY = "0" * 32
"""Rules that hash need a key, which only Prefect has. Whether an event is filtered does not depend on it."""
_PARAMETERS = {
    "target_user.uuid": "user",
    "target_user.email": "user",
    "target_user.name": "user",
    "user.uuid": "user",
    "user.email": "user",
    "user.name": "user",
    "actor_uuid": "user",
    "actor_details.uuid": "user",
    "actor_details.email": "user",
    "actor_details.name": "user",
    "category": "action",
    "action": "action",
    "type": "type",
    "object_type": "type",
    "client.ip_address": "ip",
    "session.ip": "ip",
    "country": "country",
    "location.country": "country",
    "client.app_name": "client",
    "client.app_version": "version",
    "client.os_name": "os",
    "vault_uuid": "vault",
    "item_uuid": "item",
    "object_uuid": "object",
    "object_details.uuid": "object",
    "aux_uuid": "aux",
    "aux_details.uuid": "aux",
}
"""The parameter that filters by a member. Other members are searched for as text."""


class Member(NamedTuple):
    """A member of the body: where it is, its value as text, and the parameter and value that filter by it."""

    path: str
    value: str
    parameter: str
    wanted: str


class ChainPlace(NamedTuple):
    """The link that covers the event, and which of its events it is. The digests are hexadecimal."""

    number: int
    place: int
    events: int
    committed_ns: int
    digest: str
    newest: int
    """The number of the stream's newest link: so many links stand on this one."""


class Delivery(NamedTuple):
    """What became of the event at one SIEM: `state` is sent, filtered, rejected or waiting; `note` says more."""

    siem: str
    state: str
    note: str
    time_ns: int | None = None


@dataclass(frozen=True, slots=True)
class EventDetails:
    """An event and what the store knows of it. `digest` is the SHA-256 of its body."""

    hit: EventHit
    members: tuple[Member, ...]
    digest: str
    chain: ChainPlace | None
    deliveries: tuple[Delivery, ...]
    changed: int
    """How often the server sent another body under this uuid later."""


def event_details(engine: Engine, event_id: int) -> EventDetails | None:
    """The event with this id; None if there is none."""
    with store_errors(), reading(engine).connect() as connection:
        hit = next(iter(read_events(connection, [event_id])), None)
        if hit is None:
            return None
        chain = _chain_place(connection, hit)
        deliveries = tuple(_deliveries(connection, hit))
        of_event = {"stream": hit.stream_id, "uuid": hit.uuid}
        changed = connection.execute(_CHANGED, of_event).scalar_one()
    return EventDetails(hit, tuple(body_members(hit.body)), body_digest(hit.body).hex(), chain, deliveries, changed)


def raw_body(engine: Engine, event_id: int) -> bytes | None:
    """The body exactly as the server sent it; None if there is no such event."""
    with store_errors(), reading(engine).connect() as connection:
        column = "CAST(body AS BLOB)" if is_sqlite(engine) else "body"
        query = text(f"SELECT {column} FROM events WHERE id = :event")  # noqa: S608 - a constant
        body = connection.execute(query, {"event": event_id}).scalar()
    return body.encode() if isinstance(body, str) else body


def body_members(body: str) -> Iterator[Member]:
    """The members of a JSON body in their order, those of inner objects with their path; none of other bodies."""
    try:
        value = json.loads(body, parse_int=str, parse_float=str)  # numbers are shown as they came
    except (ValueError, RecursionError):
        return
    if isinstance(value, dict):
        for number, member in enumerate(_flat(value, "", 0)):
            if number == MEMBERS_MAX:
                return
            yield member


def _flat(value: dict[str, Any], path: str, depth: int) -> Iterator[Member]:
    for name, inner in value.items():
        here = f"{path}.{name}" if path else name
        if isinstance(inner, dict) and inner and depth < DEPTH_MAX:
            yield from _flat(inner, here, depth + 1)
        else:
            yield _member(here, inner)


def _member(path: str, value: Any) -> Member:
    shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    shown = shown.encode(errors="replace").decode()
    is_scalar = isinstance(value, str | bool)
    parameter = _PARAMETERS.get(path, "q") if is_scalar and value != "" else ""
    return Member(path, shown[:SHOWN_MAX], parameter, shown[:200])


def _chain_place(connection: Connection, hit: EventHit) -> ChainPlace | None:
    of_event = {"stream": hit.stream_id, "event": hit.id}
    link = connection.execute(_LINK, of_event).first()
    if link is None or not link.first_id <= hit.id <= link.last_id:
        return None
    bounds = {**of_event, "first": link.first_id}
    place = sum(connection.execute(query, bounds).scalar_one() for query in (_EARLIER, _EARLIER_PRUNED))
    newest = connection.execute(_NEWEST, of_event).scalar_one()
    return ChainPlace(link.number, place + 1, link.events, link.committed_ns, bytes(link.digest).hex(), newest)


def _deliveries(connection: Connection, hit: EventHit) -> Iterator[Delivery]:
    of_event = {"source": hit.source_id, "stream": hit.stream_id, "event": hit.id}
    for pair in connection.execute(_PAIRS, of_event).all():
        if pair.rejected_ns is not None:
            yield Delivery(pair.siem, "rejected", f"{pair.code}: {pair.answer}"[:SHOWN_MAX], pair.rejected_ns)
        elif reason := _filter_reason(pair, hit):
            yield Delivery(pair.siem, "filtered", reason)
        elif pair.acknowledged_id is None or hit.id > pair.acknowledged_id:
            yield Delivery(pair.siem, "waiting", "It is not acknowledged yet.")
        else:
            # The store keeps the position of a SIEM, and no time for each event.
            yield Delivery(pair.siem, "sent", "Acknowledged, at the latest at this time.", pair.progress_ns)


def _filter_reason(pair: Row[Any], hit: EventHit) -> str | None:
    """Which rule of the source or the SIEM drops the event, as they are now."""
    of_source = json.loads(pair.processing_rules)
    outcome = processing.parse(of_source.get("filters", []), of_source.get("hashAlgorithm")).apply(hit.body)
    if outcome.filter_reason is not None:
        return outcome.filter_reason
    own = rules.parse(json.loads(pair.config).get("rules"), _UNKNOWN_KEY)
    return own.apply(Api(hit.api), hit.body).filter_reason


_LINK = text(
    "SELECT number, first_id, last_id, events, committed_ns, digest FROM chain "
    "WHERE stream_id = :stream AND last_id >= :event ORDER BY last_id LIMIT 1"
)
_EARLIER = text(
    "SELECT count(*) FROM events WHERE (stream_id + 0) = :stream AND id >= :first AND id < :event"  # by id: see `links`
)
_EARLIER_PRUNED = text(
    "SELECT count(*) FROM pruned_events WHERE stream_id = :stream AND event_id >= :first AND event_id < :event"
)
_NEWEST = text("SELECT link FROM streams WHERE id = :stream")
_CHANGED = text("SELECT count(*) FROM changed_bodies WHERE stream_id = :stream AND uuid = :uuid")
_PAIRS = text(
    "SELECT p.siem, p.config, o.processing_rules, f.acknowledged_id, f.progress_ns, r.rejected_ns, r.code, r.answer "
    "FROM pairs p JOIN sources o ON o.id = p.source_id "
    "LEFT JOIN positions f ON f.pair_id = p.id AND f.stream_id = :stream "
    "LEFT JOIN rejected_events r ON r.pair_id = p.id AND r.stream_id = :stream AND r.event_id = :event "
    "WHERE p.source_id = :source ORDER BY p.siem"
)
