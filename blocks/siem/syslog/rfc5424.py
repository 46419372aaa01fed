"""Events as syslog messages, in the format of RFC 5424."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from blocks.events_api.models import Api
from blocks.siem.formats import metadata
from blocks.siem.formats.envelope import RESERVED_MEMBERS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from blocks.siem.formats.event import FieldValue, FormattedEvent, StreamMetadata

Facility = Literal[
    "audit", "auth", "authpriv", "user", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"
]
APP_NAME = "1password"
NAME_MAX, MSGID_MAX, HOSTNAME_MAX = 32, 32, 255  # octets, of RFC 5424 section 6
UNKNOWN = "-"
BOM = b"\xef\xbb\xbf"

_FACILITIES = {"user": 1, "auth": 4, "authpriv": 10, "audit": 13, **{f"local{n}": 16 + n for n in range(8)}}
_INFORMATIONAL, _NOTICE = 6, 5
_SUCCEEDED = frozenset({"signin-success", "signin-firewall_reported_success"})
_NO_PRINTABLE = re.compile(r"[^!-~]")
_NO_NAME = re.compile(r'[^!-~]|[=\]"]')
_ESCAPES = {**dict.fromkeys(range(32), " "), 127: " ", ord('"'): r"\"", ord("\\"): r"\\", ord("]"): r"\]"}
_MICROSECONDS = len("2026-03-04T05:06:07.089000")  # RFC 5424 has six digits at most; the structured data has all nine
_REMEMBERED = 4096  # groups of (stream, event id, account)


@dataclass(frozen=True, slots=True)
class MessageStyle:
    """What is the same for all messages to one receiver.

    `hostname` and `sd_id` are such as `printable` and `param_name` return. `bom`: whether the document is preceded by
    the mark that says it is UTF-8 (RFC 5424 section 6.4).
    """

    hostname: str
    sd_id: str
    facility: Facility = "audit"
    bom: bool = False


class MessageEncoder:
    """Makes the messages. What events have in common is made once. Threads may share it."""

    def __init__(self, style: MessageStyle) -> None:
        self._style = style
        self._pri = _FACILITIES[style.facility] * 8
        self._mark = BOM if style.bom else b""
        self._found: dict[tuple[int, str, str | None], tuple[StreamMetadata, bytes, bytes]] = {}

    def encode(self, shaped: FormattedEvent) -> bytes:
        """One message: the header, one element of structured data, and the document as it is."""
        facts = metadata.event_facts(shaped)
        _, pri, common = self._common(shaped)
        own = f' uuid="{escape(facts["uuid"])}" time="{facts["time"]}" received="{facts["received"]}"] '
        timestamp = facts["time"][:_MICROSECONDS].encode()
        return b"".join((pri, timestamp, common, own.encode(errors="replace"), self._mark, shaped.document))

    def _common(self, shaped: FormattedEvent) -> tuple[StreamMetadata, bytes, bytes]:
        key = (id(shaped.stream), shaped.event_id, shaped.account)
        found = self._found.get(key)
        if found is None:
            if len(self._found) >= _REMEMBERED:
                self._found.clear()
            # The stream is kept, so that its address is no other stream's meanwhile.
            found = self._found[key] = (shaped.stream, *self._made(shaped))
        return found

    def _made(self, shaped: FormattedEvent) -> tuple[bytes, bytes]:
        style = self._style
        pri = f"<{self._pri + severity(shaped)}>1 "
        header = f"Z {style.hostname} {APP_NAME} {UNKNOWN} {printable(shaped.event_id, MSGID_MAX)} [{style.sd_id}"
        return pri.encode(), (header + _params(_beside(shaped))).encode(errors="replace")


def severity(shaped: FormattedEvent) -> int:
    """Notice (5) for a sign-in that failed, informational (6) for all else."""
    failed = shaped.stream.api is Api.SIGN_IN and shaped.event_id not in _SUCCEEDED
    return _NOTICE if failed else _INFORMATIONAL


def printable(text: str, most: int) -> str:
    """A text as it may stand in the header: printable ASCII without spaces, or a dash where there is none of it."""
    return _NO_PRINTABLE.sub("_", text)[:most] or UNKNOWN


def param_name(text: str) -> str:
    """A text as it may name a parameter of structured data: what may not stand there becomes `_`."""
    return _NO_NAME.sub("_", text)[:NAME_MAX] or "_"


def escape(text: str) -> str:
    r"""A text as the value of a parameter: `"`, `\` and `]` escaped, and control characters as spaces."""
    return text if text.isalnum() else text.translate(_ESCAPES)


def _beside(shaped: FormattedEvent) -> Iterator[tuple[str, FieldValue]]:
    yield "api", shaped.stream.api.value
    if shaped.account is not None:
        yield "account", shaped.account
    yield from ((key, value) for key, value in metadata.event_metadata(shaped).items() if key not in RESERVED_MEMBERS)


def _params(pairs: Iterable[tuple[str, FieldValue]]) -> str:
    return "".join(f' {param_name(key)}="{escape(_text(value))}"' for key, value in pairs)


def _text(value: FieldValue) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
