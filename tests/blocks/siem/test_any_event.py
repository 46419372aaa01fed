"""Each kind of SIEM gets a record of any stored event, in each format and with all kinds of rules."""

from __future__ import annotations

import io
import json
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any

import pytest
from arro3.io import read_parquet
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import siems as support
from support.siem_targets import _HTTP_MEMBERS as MEMBERS

from blocks.events_api.models import Api
from blocks.events_api.vocabulary import EVENTS
from blocks.siem.archive import ndjson, parquet
from blocks.siem.configuration import block_class
from blocks.siem.delivery.prepare import Preparer
from blocks.siem.delivery.protocol import EncodedRecord
from blocks.siem.formats import registry
from blocks.siem.formats.ecs import INTEGER
from blocks.siem.formats.event import OutgoingEvent
from blocks.siem.privacy import processing, rules
from blocks.siem.syslog.rfc5424 import MessageEncoder, MessageStyle

if TYPE_CHECKING:
    from collections.abc import Iterator

    from blocks.siem.formats.event import FormattedEvent
    from blocks.siem.privacy.processing import ProcessingRules
    from blocks.siem.privacy.rules import Rules

UUID = "A" * 26
HIDING = rules.parse([{"mask": ["@emails", "location"]}, {"hash": ["client"]}, {"remove": ["@names"]}], "k" * 16)
PROCESSING = processing.parse(
    [
        {"name": "a", "filterType": "Mask", "regexp": "([0-9]{2,})"},
        {"name": "b", "filterType": "Hash", "regexp": '"([a-z_]+)"'},
    ]
)
RULES: tuple[tuple[Rules, ProcessingRules], ...] = (
    (rules.NONE, processing.NONE),
    (HIDING, processing.NONE),
    (rules.NONE, PROCESSING),
    (HIDING, PROCESSING),
)
NUMBERS = st.sampled_from(
    [0, -1, 2**31, 2**33, -(2**31) - 1, 2**53 + 1, 2**63 - 1, 2**63, 2**70, -(2**80), 1e308, 5e-324]
)
TEXTS = st.text(max_size=6) | st.sampled_from(["", "NZ", "192.0.2.7", "::1", "a@b.example", "2026-03-04T05:06:07Z"])
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
PARTS = sorted(
    {name for event in EVENTS.values() for members in event.values() if isinstance(members, dict) for name in members}
)
NEW = st.sampled_from(["new", "a.b", "", " ", "_id", "onepassword", "new_2"])


def names_of(api: Api) -> list[str]:
    return sorted(set(EVENTS[api.path]) - {"uuid", "timestamp"})


def bodies(api: Api) -> st.SearchStrategy[str]:
    part = st.dictionaries(st.sampled_from(PARTS) | NEW, VALUES, max_size=5)
    members = st.dictionaries(st.sampled_from(names_of(api)) | NEW, VALUES | part, max_size=8)
    return members.map(lambda found: json.dumps({"uuid": UUID, **found}))


@pytest.fixture(scope="module")
def senders() -> Iterator[dict[str, Any]]:
    with ExitStack() as stack:
        made = {kind: block_class(kind)(**of("http://127.0.0.1:9")).get_sender() for kind, of in MEMBERS.items()}
        for sender in made.values():
            stack.enter_context(closing(sender))
        yield made


DEEP = '{"uuid":"%s","new":%s,"client":%s}'
ODD = (
    DEEP % (UUID, "[" * 200 + "]" * 200, '{"a":' * 200 + "1" + "}" * 200),
    DEEP % (UUID, "[" * 5000 + "]" * 5000, '{"a":' * 5000 + "1" + "}" * 5000),
    DEEP % (UUID, "9" * 400, '{"os_name":' + "9" * 400 + "}"),
    DEEP % (UUID, "1e999", '{"ip_address":-1e999}'),
    DEEP % (UUID, '"\\ud800"', '{"\\udfff":"\\ud800","os_name":"\\udfff"}'),
    DEEP % (UUID, '"text"', '"text"'),
    DEEP % (UUID, '{"new":1},"new":"again"', '{"os_name":{"name":"Linux"}},"client":[]'),
    f'{{ "uuid" : "{UUID}" ,\r\n\t"action" : "join"\n}}',
)


@pytest.mark.parametrize("format_name", support.FORMATS)
@pytest.mark.parametrize("api", list(Api))
@pytest.mark.parametrize("body", ODD, ids=range(len(ODD)))
def test_an_odd_event_has_a_record_everywhere(api: Api, format_name: str, body: str, senders: dict[str, Any]) -> None:
    check_records(api, format_name, body, senders)


@pytest.mark.parametrize("format_name", support.FORMATS)
@pytest.mark.parametrize("api", list(Api))
@settings(
    deadline=None, max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(data=st.data())
def test_any_event_has_a_record_everywhere(
    api: Api, format_name: str, data: st.DataObject, senders: dict[str, Any]
) -> None:
    check_records(api, format_name, data.draw(bodies(api)), senders)


def check_records(api: Api, format_name: str, body: str, senders: dict[str, Any]) -> None:
    """Each record holds the uuid and the whole document. Each document holds the body that the rules left."""
    event = OutgoingEvent(1, UUID, support.START_NS, support.RECEIVED_NS, body)
    stream = support.stream(api)
    for siem, source in RULES:
        left = source.apply(body)
        left = siem.apply(api, body, left.body)
        if left.filter_reason:  # nested arrays where a rule looks for a member: nothing could be hidden there
            assert siem is HIDING
            continue
        records = {
            kind: Preparer(sender, siem, format_name, stream, source).prepare(event).data  # type: ignore[union-attr]
            for kind, sender in senders.items()
        }
        made = registry.format_event(format_name, event, stream, left.body)
        assert made.account is None or made.account.isprintable()
        assert original_of(made) == on_one_line(body if left.body is None else left.body.decode(errors="replace"), made)
        records["syslog"] = MessageEncoder(MessageStyle("host", "onepassword@32473")).encode(made)
        records["ndjson"] = ndjson.encode(made)
        for kind, data in records.items():
            assert UUID.encode() in data, kind
            assert kind in {"otlp", "elasticsearch"} or b"\n" not in data.rstrip(b"\n"), kind
            assert carries(kind, data, made), kind
        for kind in ("splunk", "sentinel", "ndjson"):
            load(records[kind])
        assert parquet_row(made) == (UUID, made.document.decode())
        if format_name == "ecs":
            fits_elasticsearch(json.loads(made.document))


def original_of(made: FormattedEvent) -> str:
    """The body as the document holds it."""
    if made.format_name == "raw":
        return made.document.decode()
    document = json.loads(made.document)
    original = document["event"]["original"] if made.format_name == "ecs" else document["raw_data"]
    assert isinstance(original, str)
    return original


def on_one_line(body: str, made: FormattedEvent) -> str:
    """The body as `original_of` should find it: raw has no line breaks between its members."""
    return body.replace("\r", " ").replace("\n", " ") if made.format_name == "raw" else body


def carries(kind: str, data: bytes, made: FormattedEvent) -> bool:
    """Whether a record holds the document, byte for byte. Elasticsearch gets raw as a text, and OCSF with a time."""
    if kind == "elasticsearch" and made.format_name == "raw":
        held: str = json.loads(data.splitlines()[1])["event"]["original"]
        return held.encode() == made.document
    return made.document[1:] in data


def load(data: bytes) -> Any:
    try:
        return json.loads(data, parse_constant=pytest.fail)
    except RecursionError:
        return None  # raw: as deep as 1Password sent it


def parquet_row(made: FormattedEvent) -> tuple[str, str]:
    """The uuid and the document, read back from a table of this one event."""
    record = EncodedRecord(made.event, parquet.encode(made))
    table = read_parquet(io.BytesIO(parquet.pack(made.stream, [[record]]))).read_all()
    last = "body" if made.format_name == "raw" else "document"
    return table["uuid"][0].as_py(), table[last][0].as_py()


def fits_elasticsearch(document: dict[str, Any]) -> None:
    """What the types of Elastic's fields take, and no array of several types."""
    own = document["onepassword"]
    assert abs(own.get("used_version", 0)) <= INTEGER
    for path, value in leaves(document):
        assert all(name and "." not in name for name in path)
        assert not isinstance(value, int | float) or abs(value) < 2**63
    geo = document.get("source", {}).get("geo", {}).get("location", {"lat": 0, "lon": 0})
    assert abs(geo["lat"]) <= 90
    assert abs(geo["lon"]) <= 180


def leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    if isinstance(value, dict):
        for name, one in value.items():
            yield from leaves(one, (*path, name))
    elif isinstance(value, list):
        assert len({float if type(one) is int else type(one) for one in value}) <= 1
        for one in value:
            yield from leaves(one, path)
    else:
        yield path, value
