"""Creates realistic events. An event is a pure function of (seed, API, number, time).

Every third event takes the next value of its API's enumerations in turn, so that each documented value appears within
the first few hundred. The others follow the frequencies of an ordinary account (mostly successful sign-ins, fills and
reveals).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import TYPE_CHECKING, Any

from deployments.sandbox.sample_account import SampleAccount, client, identifier, ip_address, location, sample_account
from deployments.sandbox.vocabulary import AUDITS, ITEM_ACTIONS, SIGN_INS

if TYPE_CHECKING:
    from collections.abc import Callable

SECOND = 1_000_000_000
HOUR = 3600 * SECOND

SUCCESSFUL = 0.9

Event = dict[str, Any]


@dataclass(frozen=True)
class EventBody:
    """One event as v1 and v2 serve it: both have the same uuid and time."""

    v1: bytes
    v2: bytes


@dataclass(frozen=True)
class EventTime:
    """The time of an event in ns since 1970, and as the API writes it."""

    ns: int
    text: str


def random_for(seed: int, api: str, number: int) -> Random:
    return Random(f"{seed}/{api}/{number}")  # noqa: S311 - made-up data


def event_time(ns: int, digits: int) -> EventTime:
    """Truncated to 0 to 9 fractional digits. Trailing zeros are never written."""
    cut = ns - ns % 10 ** (9 - digits)
    return EventTime(cut, write_time(cut))


def write_time(ns: int) -> str:
    whole, fraction = divmod(ns, SECOND)
    return f"{datetime.fromtimestamp(whole, UTC):%Y-%m-%dT%H:%M:%S}{write_fraction(fraction)}Z"


def write_fraction(ns: int) -> str:
    return f".{ns:09d}".rstrip("0") if ns else ""


def make_body(seed: int, api: str, number: int, random: Random, when: EventTime) -> EventBody:
    """The event with this number, as bytes. `random` comes from `random_for`; draws before the call do not matter."""
    event = {
        "uuid": identifier(random),
        **_MAKERS[api](random, sample_account(seed), number, when),
    }
    return EventBody(v1=write(_as_v1(event)), v2=write(event))


def write(event: Event) -> bytes:
    """As Go writes JSON: no spaces, UTF-8, and `&`, `<`, `>` as escapes."""
    text = json.dumps(event, ensure_ascii=False, separators=(",", ":"))
    return text.replace("&", r"\u0026").replace("<", r"\u003c").replace(">", r"\u003e").encode()


def _sign_in(random: Random, people: SampleAccount, number: int, when: EventTime) -> Event:
    category, kind = _sign_in_kind(random, number)
    place = location(random)
    person = random.choice(people.people)
    return {
        "session_uuid": identifier(random),
        "timestamp": when.text,
        "category": category,
        "type": kind,
        "country": place["country"],
        "details": _sign_in_details(random, kind, place),
        "target_user": person.full(),
        "client": client(random),
        **_some(random, 0.85, "location", place),
        **_some(random, 1.0 if person.guest_of else 0.2, "account_uuid", people.account),
    }


def _sign_in_kind(random: Random, number: int) -> tuple[str, str]:
    if number % 3 == 0:
        return SIGN_INS[number // 3 % len(SIGN_INS)]
    if random.random() < SUCCESSFUL:
        return "success", random.choice(("credentials_ok", "mfa_ok"))
    return random.choice(SIGN_INS)


def _sign_in_details(random: Random, kind: str, place: Event) -> Event | None:
    blocked_by = {
        "ip_blocked": ip_address(random),
        "continent_blocked": "Oceania",
        "country_blocked": place["country"],
    }
    return {"value": blocked_by[kind]} if kind in blocked_by else None


def _item_usage(random: Random, people: SampleAccount, number: int, when: EventTime) -> Event:
    return {
        "timestamp": when.text,
        "used_version": random.randrange(0, 9),
        "vault_uuid": random.choice(people.vaults),
        "item_uuid": random.choice(people.items),
        **_item_action(random, number),
        "user": random.choice(people.people).full(),
        "client": client(random),
        **_some(random, 0.85, "location", location(random)),
        **_some(random, 0.8, "account_uuid", people.account),
    }


def _item_action(random: Random, number: int) -> Event:
    if number % 3 == 0:
        return {"action": ITEM_ACTIONS[number // 3 % len(ITEM_ACTIONS)]}
    action = random.choice(("fill", "fill", "fill", "reveal", "secure-copy"))
    return _some(random, 0.98, "action", action)


def _audit(random: Random, people: SampleAccount, number: int, when: EventTime) -> Event:
    in_turn = number % 3 == 0
    action, kind = AUDITS[number // 3 % len(AUDITS)] if in_turn else random.choice(AUDITS)
    actor = random.choice(people.people)
    return {
        "timestamp": when.text,
        "actor_uuid": actor.uuid,
        "actor_details": actor.full(),
        "actor_type": "external_user" if actor.guest_of else "user",
        "actor_account_uuid": actor.guest_of or people.account,
        "account_uuid": people.account,
        "action": action,
        "object_type": kind,
        **_audit_object(random, people, kind),
        **_audit_aux(random, people, kind),
        "session": _session(random, people, when),
        **_some(random, 0.7, "location", location(random)),
    }


def _audit_object(random: Random, people: SampleAccount, kind: str) -> Event:
    if kind == "user":
        person = random.choice(people.people)
        return {"object_uuid": person.uuid, "object_details": person.short()}
    kept_in = {"gm": people.groups, "group": people.groups, "uva": people.vaults, "gva": people.vaults}
    ids = {**kept_in, "vault": people.vaults, "item": people.items, "device": people.devices}
    return {"object_uuid": random.choice(ids[kind]) if kind in ids else identifier(random)}


def _audit_aux(random: Random, people: SampleAccount, kind: str) -> Event:
    """The meaning of aux depends on the object: a member, who has access, a group, an owner, a note, nothing."""
    person = random.choice(people.people)
    member = {"aux_id": random.randrange(1, 10**6), "aux_uuid": person.uuid, "aux_details": person.short()}
    meanings: dict[str, Event] = {
        "gm": {**member, "aux_info": random.choice("RA")},
        "uva": {**member, "aux_info": str(random.randrange(2, 256))},
        "gva": {"aux_id": random.randrange(1, 10**6), "aux_uuid": random.choice(people.groups)},
        "device": member,
        "dlgdsess": {"aux_uuid": random.choice(people.devices)},
        "invite": {"aux_info": person.email},
        "account": {"aux_info": "duo,totp; Rule 7: allow <all> & log"},
    }
    return meanings.get(kind, {})


def _session(random: Random, people: SampleAccount, when: EventTime) -> Event:
    login = event_time(when.ns - random.randrange(8 * HOUR), random.randrange(10))
    return {
        "uuid": identifier(random),
        "login_time": login.text,
        "device_uuid": random.choice(people.devices),
        "ip": ip_address(random),
    }


def _some(random: Random, share: float, name: str, value: object) -> Event:
    return {name: value} if random.random() < share else {}


def _as_v1(event: Event) -> Event:
    older = {name: value for name, value in event.items() if name not in _V2_ONLY}
    for name in ("target_user", "user", "actor_details"):
        if name in older:
            older[name] = {key: older[name][key] for key in ("uuid", "name", "email")}
    if older.get("type") == "federated":
        older["type"] = "credentials_ok"
    return older


_V2_ONLY = frozenset({"account_uuid", "actor_type", "actor_account_uuid"})
_MAKERS: dict[str, Callable[[Random, SampleAccount, int, EventTime], Event]] = {
    "signinattempts": _sign_in,
    "itemusages": _item_usage,
    "auditevents": _audit,
}
