"""Events as syslog messages in the format of RFC 5424."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from blocks.events_api.models import Api
from blocks.siem.delivery.header_cache import HeaderCache
from blocks.siem.formats import metadata
from blocks.siem.formats.field_values import to_text
from blocks.siem.formats.raw import RESERVED_MEMBERS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from blocks.siem.formats.event import FieldValue, FormattedEvent

Facility = Literal[
    "audit", "auth", "authpriv", "user", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"
]
APP_NAME = "1password"
NAME_MAX, MSGID_MAX, HOSTNAME_MAX = 32, 32, 255  # octets, RFC 5424 section 6
NIL = "-"
BOM = b"\xef\xbb\xbf"

_FACILITIES = {"user": 1, "auth": 4, "authpriv": 10, "audit": 13, **{f"local{n}": 16 + n for n in range(8)}}
_INFORMATIONAL, _NOTICE = 6, 5
_SUCCEEDED = frozenset({"signin-success", "signin-firewall_reported_success"})
_NOT_PRINTABLE = re.compile(r"[^!-~]")
_NOT_IN_NAME = re.compile(r'[^!-~]|[=\]"]')
_ESCAPES = {**dict.fromkeys(range(32), " "), 127: " ", ord('"'): r"\"", ord("\\"): r"\\", ord("]"): r"\]"}
_MICROSECONDS = len("2026-03-04T05:06:07.089000")  # the header holds at most six digits, the structured data all nine


@dataclass(frozen=True, slots=True)
class MessageStyle:
    """What is the same for all messages to one receiver.

    `hostname` and `sd_id` have the form that `printable` and `param_name` return. `bom`: a byte order mark before the
    document says that it is UTF-8 (RFC 5424 section 6.4).
    """

    hostname: str
    sd_id: str
    facility: Facility = "audit"
    bom: bool = False


class MessageEncoder:
    """Makes messages. What events have in common is cached. Threads may share it."""

    def __init__(self, style: MessageStyle) -> None:
        self._style = style
        self._facility = _FACILITIES[style.facility] * 8
        self._bom = BOM if style.bom else b""
        self._shared = HeaderCache(self._encode_shared)

    def encode(self, formatted: FormattedEvent) -> bytes:
        """Return one message: the header, one element of structured data, and the document unchanged."""
        facts = metadata.event_facts(formatted)
        pri, shared = self._shared.get(formatted)
        own = f' uuid="{escape(facts["uuid"])}" time="{facts["time"]}" received="{facts["received"]}"] '
        timestamp = facts["time"][:_MICROSECONDS].encode()
        return b"".join((pri, timestamp, shared, own.encode(errors="replace"), self._bom, formatted.document))

    def _encode_shared(self, formatted: FormattedEvent) -> tuple[bytes, bytes]:
        style = self._style
        pri = f"<{self._facility + severity(formatted)}>1 "
        msgid = printable(formatted.event_id, MSGID_MAX)
        header = f"Z {style.hostname} {APP_NAME} {NIL} {msgid} [{style.sd_id}"
        return pri.encode(), (header + _encode_params(_shared_params(formatted))).encode(errors="replace")


def severity(formatted: FormattedEvent) -> int:
    """Return notice (5) for a sign-in that failed, and informational (6) for everything else."""
    failed = formatted.stream.api is Api.SIGN_IN and formatted.event_id not in _SUCCEEDED
    return _NOTICE if failed else _INFORMATIONAL


def printable(text: str, most: int) -> str:
    """Return a text as the header can hold it: at most `most` printable ASCII characters, or a dash if it is empty."""
    return _NOT_PRINTABLE.sub("_", text)[:most] or NIL


def param_name(text: str) -> str:
    """Return a text as a parameter's name in structured data. Characters that a name cannot hold become `_`."""
    return _NOT_IN_NAME.sub("_", text)[:NAME_MAX] or "_"


def escape(text: str) -> str:
    r"""Return a text as a parameter's value: `"`, `\` and `]` escaped, control characters as spaces."""
    return text if text.isalnum() else text.translate(_ESCAPES)


def _shared_params(formatted: FormattedEvent) -> Iterator[tuple[str, FieldValue]]:
    yield "api", formatted.stream.api.value
    if formatted.account is not None:
        yield "account", formatted.account
    yield from (
        (key, value) for key, value in metadata.event_metadata(formatted).items() if key not in RESERVED_MEMBERS
    )


def _encode_params(pairs: Iterable[tuple[str, FieldValue]]) -> str:
    return "".join(f' {param_name(key)}="{escape(to_text(value))}"' for key, value in pairs)
