"""A store of hundreds of sources with streams, some events, conditions and SIEM pairs, written by SQL directly."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sqlalchemy import insert

from blocks import clock
from blocks.events_api.models import Api
from blocks.store import tables

if TYPE_CHECKING:
    from sqlalchemy import Engine

EVENTS = 12  # of each stream, in links of four
LINK = 4
HOUR_NS = 3600 * 10**9


def fill(engine: Engine, sources: int, *, siems: int = 1) -> None:
    """Fill a store. Every 100th source is in error, every 50th is late, every 10th waits for a SIEM that is down."""
    now_ns = clock.now_ns()
    with engine.begin() as connection:
        for kind, rows in _rows(sources, siems, now_ns).items():
            connection.execute(insert(tables.table_of(kind)), rows)


def name_of(number: int) -> str:
    return f"team-{number:03}"


def _rows(sources: int, siems: int, now_ns: int) -> dict[type[Any], list[dict[str, Any]]]:
    numbers = range(sources)
    streams = [(number, place, api) for number in numbers for place, api in enumerate(Api)]
    pairs = [(number, siem) for number in numbers for siem in range(siems)]
    return {
        tables.SourceRow: [_source(number, now_ns) for number in numbers],
        tables.StreamRow: [_stream(number, place, api, len(streams), now_ns) for number, place, api in streams],
        tables.EventRow: [
            _event(_stream_id(number, place), n, now_ns) for n in range(EVENTS) for number, place, _ in streams
        ],
        tables.ChainLinkRow: [
            _link(_stream_id(number, place), n, len(streams), now_ns)
            for n in range(0, EVENTS, LINK)
            for number, place, _ in streams
        ],
        tables.HourlyCountRow: [
            {"stream_id": _stream_id(number, place), "hour": now_ns // HOUR_NS - 2, "events": EVENTS}
            for number, place, _ in streams
        ],
        tables.ConditionRow: [_condition(number, now_ns) for number in numbers if number % 100 == 0],
        tables.PairRow: [_forward(number, siem, now_ns) for number, siem in pairs],
        tables.PositionRow: [
            _position(number, siem, place, len(streams), now_ns) for number, siem in pairs for place in range(len(Api))
        ],
    }


def _id(number: int) -> str:
    return f"{number:032x}"


def _stream_id(number: int, place: int) -> int:
    return 1 + number * len(Api) + place


def _event_id(stream_id: int, n: int, streams: int) -> int:
    """Ids that interleave the events of all streams, as in a store that grows."""
    return n * streams + stream_id


def _source(number: int, now_ns: int) -> dict[str, Any]:
    seen_ns = now_ns - (3600 if number % 50 == 1 else 60) * 10**9
    return {
        "id": _id(number),
        "name": name_of(number),
        "fields": json.dumps({"_siemForward": True, "team": "blue"}),
        "base_url": "https://events.1password.com",
        "apis": json.dumps([str(api) for api in Api]),
        "api_version": "v2",
        "fingerprint": _id(number),
        "state": "ThirdPartyConfigError" if number % 100 == 0 else "Collected",
        "state_ns": seen_ns,
        "state_message": "12 new events.",
        "created_ns": 0,
    }


def _stream(number: int, place: int, api: Api, streams: int, now_ns: int) -> dict[str, Any]:
    seen_ns = now_ns - (3600 if number % 50 == 1 else 60) * 10**9
    stream_id = _stream_id(number, place)
    return {
        "id": stream_id,
        "source_id": _id(number),
        "api": str(api),
        "events": EVENTS,
        "newest_ns": now_ns - 2 * HOUR_NS,
        "progress_ns": seen_ns,
        "drained_ns": seen_ns,
        "lag_ns": 240 * 10**9,
        "link": EVENTS // LINK,
        "link_id": _event_id(stream_id, EVENTS - 1, streams),
    }


def _event(stream_id: int, n: int, now_ns: int) -> dict[str, Any]:
    at_ns = now_ns - 2 * HOUR_NS + n
    return {"stream_id": stream_id, "uuid": f"{n}", "time_ns": at_ns, "received_ns": at_ns, "body": "{}"}


def _link(stream_id: int, n: int, streams: int, now_ns: int) -> dict[str, Any]:
    return {
        "stream_id": stream_id,
        "number": n // LINK + 1,
        "first_id": _event_id(stream_id, n, streams),
        "last_id": _event_id(stream_id, n + LINK - 1, streams),
        "events": LINK,
        "api_version": "v2",
        "committed_ns": now_ns - 2 * HOUR_NS,
        "digest": b"",
    }


def _condition(number: int, now_ns: int) -> dict[str, Any]:
    return {
        "source_id": _id(number),
        "tracker": "error/audit",
        "name": "ThirdPartyConfigError",
        "severity": "Error",
        "value": "",
        "description": "The Events API refuses the token.",
        "since_ns": now_ns - 3 * HOUR_NS,
    }


def _forward(number: int, siem: int, now_ns: int) -> dict[str, Any]:
    return {
        "id": f"{number}-{siem}",
        "source_id": _id(number),
        "siem": f"soc-{siem}",
        "kind": "splunk",
        "config": "{}",
        "fingerprint": "f",
        "created_ns": now_ns,
    }


def _position(number: int, siem: int, place: int, streams: int, now_ns: int) -> dict[str, Any]:
    stream_id = _stream_id(number, place)
    is_down = siem == 0 and number % 10 == 0
    sent = LINK if is_down else EVENTS
    return {
        "pair_id": f"{number}-{siem}",
        "stream_id": stream_id,
        "acknowledged_id": _event_id(stream_id, sent - 1, streams),
        "sent": sent,
        "progress_ns": now_ns - 60 * 10**9,
    }
