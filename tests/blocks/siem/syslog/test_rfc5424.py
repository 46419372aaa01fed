"""The message format, by examples, by the grammar of the standard, and by what two daemons make of it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs
from support import siems as support

from blocks.events_api.models import Api
from blocks.siem.delivery import header_cache
from blocks.siem.formats import registry
from blocks.siem.syslog import rfc5424
from blocks.siem.syslog.rfc5424 import Facility, MessageEncoder, MessageStyle

if TYPE_CHECKING:
    from blocks.siem.formats.event import FormattedEvent

STYLE = MessageStyle("collector.example", "1password@32473")

# The grammar of RFC 5424 section 6, independent of the product's code.
VALUE = r'"(?:[^"\\\]]|\\["\\\]])*"'
NAME = r"[!#-<>-\\^-~]{1,32}"
GRAMMAR = re.compile(
    r"<(?P<pri>[1-9]?\d|1[0-8]\d|19[01])>1 (?P<timestamp>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{1,6}Z) "
    r"(?P<hostname>[!-~]{1,255}) (?P<app>[!-~]{1,48}) (?P<procid>[!-~]{1,128}) (?P<msgid>[!-~]{1,32}) "
    rf"\[(?P<id>{NAME})(?P<params>(?: {NAME}={VALUE})*)\] (?P<msg>.*)",
    re.DOTALL,
)
PARAM = re.compile(rf" ({NAME})=({VALUE})", re.DOTALL)


def parsed(message: bytes) -> tuple[dict[str, str], dict[str, str]]:
    found = GRAMMAR.fullmatch(message.decode())
    assert found, message
    params = {key: re.sub(r"\\(.)", r"\1", value[1:-1]) for key, value in PARAM.findall(found["params"])}
    return found.groupdict(), params


def test_a_message_is_header_structured_data_and_body() -> None:
    one = support.event(Api.SIGN_IN, category="success")
    formatted = registry.format_event("raw", one, support.stream())
    assert MessageEncoder(STYLE).encode(formatted).decode() == (
        "<110>1 2026-03-04T05:06:07.089000Z collector.example 1password - signin-success"
        ' [1password@32473 api="sign-in" account="ACCT2222ACCT2222ACCT2222AC" _siemForward="true"'
        ' _siemVendor="1Password" _siemProduct="1Password" _siemFormat="JSON" _siemEventID="signin-success"'
        ' _source="1Pass" _sourceCategory="sec/1password" team="blue" tier="2"'
        ' uuid="AAAAAAAAAAAAAAAAAAAAAAAAAA" time="2026-03-04T05:06:07.089000000Z"'
        ' received="2026-03-04T05:10:07.123456789Z"] ' + one.body
    )


def test_a_time_keeps_all_nine_digits_in_the_structured_data() -> None:
    one = structs.replace(support.event(Api.SIGN_IN), time_ns=support.START_NS + 987_654_321)
    header, params = parsed(MessageEncoder(STYLE).encode(registry.format_event("raw", one, support.stream())))
    assert header["timestamp"] == "2026-03-04T05:06:07.987654Z"
    assert params["time"] == "2026-03-04T05:06:07.987654321Z"


@pytest.mark.parametrize(
    ("api", "members", "severity"),
    [
        (Api.SIGN_IN, {"category": "success"}, 6),
        (Api.SIGN_IN, {"category": "firewall_reported_success"}, 6),
        (Api.SIGN_IN, {"category": "credentials_failed"}, 5),
        (Api.SIGN_IN, {}, 5),
        (Api.ITEM_USAGE, {"action": "fill"}, 6),
        (Api.AUDIT, {"action": "suspend"}, 6),
    ],
)
def test_a_failed_sign_in_is_a_notice(api: Api, members: dict[str, str], severity: int) -> None:
    formatted = registry.format_event("raw", support.event(api, **members), support.stream(api))
    header, _ = parsed(MessageEncoder(STYLE).encode(formatted))
    assert int(header["pri"]) == 13 * 8 + severity


@pytest.mark.parametrize(
    ("facility", "code"), [("user", 1), ("auth", 4), ("authpriv", 10), ("audit", 13), ("local7", 23)]
)
def test_the_facility_is_one_of_the_standard(facility: Facility, code: int) -> None:
    message = MessageEncoder(MessageStyle("h", "x@1", facility)).encode(_formatted())
    assert message.startswith(b"<%d>1 " % (code * 8 + 6))


@pytest.mark.parametrize("facility", get_args(Facility))
def test_every_facility_of_the_form_has_a_code(facility: Facility) -> None:
    parsed(MessageEncoder(MessageStyle("h", "x@1", facility)).encode(_formatted()))


def test_the_byte_order_mark_precedes_the_document_if_configured() -> None:
    formatted = _formatted()
    assert (
        MessageEncoder(MessageStyle("h", "x@1", bom=True))
        .encode(formatted)
        .endswith(b"] \xef\xbb\xbf" + formatted.document)
    )
    assert b"\xef\xbb\xbf" not in MessageEncoder(STYLE).encode(formatted)


def test_a_value_is_escaped_and_a_name_is_made_fit() -> None:
    fields = {'a "quoted]\\': 'x "y" ] \\ z\n', "é=]": "é", "n" * 40: 1.5, "uuid": "of the user", "on": False}
    _, params = parsed(MessageEncoder(STYLE).encode(_formatted(fields=fields)))
    assert params["a__quoted_\\"] == 'x "y" ] \\ z '
    assert params["___"] == "é"
    assert params["n" * 32] == "1.5"
    assert params["on"] == "false"
    assert params["uuid"] == "A" * 26


def test_the_longest_documented_event_id_fits_into_msgid() -> None:
    formatted = registry.format_event(
        "raw", support.event(Api.SIGN_IN, category="firewall_reported_success"), support.stream()
    )
    assert parsed(MessageEncoder(STYLE).encode(formatted))[0]["msgid"] == "signin-firewall_reported_success"


def test_a_longer_one_is_cut() -> None:
    formatted = registry.format_event("raw", support.event(Api.SIGN_IN, category="x" * 90), support.stream())
    header, params = parsed(MessageEncoder(STYLE).encode(formatted))
    assert (header["msgid"], params["_siemEventID"]) == ("signin-" + "x" * 25, "signin-" + "x" * 90)


@pytest.mark.parametrize("api", list(Api))
@pytest.mark.parametrize("format_name", support.FORMATS)
def test_every_documented_event_is_a_message_by_the_grammar(format_name: str, api: Api) -> None:
    messages = MessageEncoder(STYLE)
    for formatted in support.formatted(api, format_name=format_name):
        header, params = parsed(messages.encode(formatted))
        assert header["msg"].encode() == formatted.document
        assert (params["uuid"], header["msgid"]) == (formatted.event.uuid, formatted.event_id[:32])


def test_no_message_has_the_metadata_of_another_source() -> None:
    messages = MessageEncoder(STYLE)
    for number in range(header_cache.CACHE_SIZE + 2):
        _, params = parsed(messages.encode(_formatted(source=f"source {number}", account=f"A{number % 3}")))
        assert (params["_source"], params["account"]) == (f"source {number}", f"A{number % 3}")


FIELDS = st.dictionaries(st.text(), st.text() | st.booleans() | st.integers() | st.floats(), max_size=5)


@given(source=st.text(), category=st.text(), fields=FIELDS, account=st.none() | st.text(min_size=1), uuid=st.text())
def test_whatever_goes_with_an_event_the_message_is_one_by_the_grammar(
    source: str, category: str, fields: dict[str, str], account: str | None, uuid: str
) -> None:
    stream = support.stream(source=source, category=category, fields=fields, account=account)
    one = structs.replace(support.event(Api.SIGN_IN, category="success"), uuid=uuid)
    formatted = registry.format_event("raw", one, stream)
    header, params = parsed(MessageEncoder(STYLE).encode(formatted))
    assert header["msg"].encode() == formatted.document
    assert params["_source"] == _plain(source)
    assert params["uuid"] == _plain(uuid)
    assert params.get("account") == (None if account is None else _plain(account))


@given(text=st.text())
def test_a_name_is_always_legal(text: str) -> None:
    assert re.fullmatch(NAME, rfc5424.param_name(text))
    assert re.fullmatch(r"[!-~]{1,32}", rfc5424.printable(text, 32))


def _plain(text: str) -> str:
    return re.sub(r"[\x00-\x1f\x7f]", " ", text).encode(errors="replace").decode()


def _formatted(**stream: object) -> FormattedEvent:
    return registry.format_event("raw", support.event(Api.SIGN_IN, category="success"), support.stream(**stream))
