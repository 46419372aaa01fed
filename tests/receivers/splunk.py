"""The HTTP Event Collector of Splunk, as its manual describes it.

Events before an invalid one are accepted, as Splunk may do; those after it are not.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import msgspec
from receivers.request import VendorResponse, uuid_of

if TYPE_CHECKING:
    from receivers.request import Request

TOKEN = "f1d2c3b4-hec"  # so short that nothing but its being a secret hides it
NOTHING = (b"", b'""', b"null")


class _Event(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """The documented members of an event. Indexed fields are flat."""

    time: float
    event: msgspec.Raw = msgspec.Raw(b"")
    fields: dict[str, str | list[str]] = {}
    host: str = ""
    source: str = ""
    sourcetype: str = ""
    index: str = ""


_read = msgspec.json.Decoder(_Event).decode


class SplunkHec:
    """`acknowledge`: None for a token without acknowledgement, else the number of the ack query that acknowledges.

    `bad`: uuids of events that it rejects; `indexes`: those that the token may write to, None for all.
    """

    def __init__(self, acknowledge: int | None = None, indexes: frozenset[str] | None = None) -> None:
        self.acknowledge = acknowledge
        self.indexes = indexes
        self.bad: set[str] = set()
        self.channels: dict[str, dict[int, int]] = {}
        self._lock = threading.Lock()

    def respond(self, request: Request) -> VendorResponse:
        path = request.path.partition("?")[0]
        if path == "/services/collector/health":
            return _said(200, 17, "HEC is healthy")
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme != "Splunk":
            return _said(401, 3, "Invalid authorization")
        if token != TOKEN:
            return _said(403, 4, "Invalid token")
        if self.acknowledge is not None and not request.headers.get("x-splunk-request-channel"):
            return _said(400, 10, "Data channel is missing")
        if path == "/services/collector/ack":
            return self._acks(request)
        if path == "/services/collector/event":
            return self._events(request)
        return VendorResponse(status=404, body=b'{"text":"The requested URL was not found on this server.","code":404}')

    def _events(self, request: Request) -> VendorResponse:
        lines = request.body.splitlines()
        if not lines:
            return _said(400, 5, "No data")
        taken: list[str] = []
        for number, line in enumerate(lines):
            code, uuid = self._event(line)
            if request.half and number % 2:
                self.bad.add(uuid)
            if code or uuid in self.bad:
                return _said(400, code or 6, "refused", taken, **{"invalid-event-number": number})
            taken.append(uuid)
        if self.acknowledge is None:
            return _said(200, 0, "Success", taken)
        return _said(200, 0, "Success", taken, ackId=self._new_ack(request))

    def _event(self, line: bytes) -> tuple[int, str]:
        try:
            one = _read(line)
        except ValueError as error:
            return (15 if "$.fields" in str(error) else 6), ""
        if bytes(one.event) in NOTHING:
            return (13 if one.event else 12), ""
        if one.index and self.indexes is not None and one.index not in self.indexes:
            return 7, ""
        return 0, uuid_of(one.event)

    def _new_ack(self, request: Request) -> int:
        with self._lock:
            acks = self.channels.setdefault(request.headers["x-splunk-request-channel"], {})
            number = max(acks, default=-1) + 1
            acks[number] = 0
            return number

    def _acks(self, request: Request) -> VendorResponse:
        """A batch is acknowledged once. Splunk then forgets its number; this receiver keeps it: numbers rise."""
        answer = {}
        with self._lock:
            acks = self.channels.get(request.headers["x-splunk-request-channel"], {})
            for number in msgspec.json.decode(request.body)["acks"]:
                acks[number] = acks.get(number, 0) + 1
                answer[str(number)] = acks[number] == self.acknowledge
        return VendorResponse(body=msgspec.json.encode({"acks": answer}))


def _said(status: int, code: int, text: str, taken: list[str] | None = None, **more: Any) -> VendorResponse:
    return VendorResponse(
        taken or [],
        status,
        {"Content-Type": "application/json"},
        msgspec.json.encode({"text": text, "code": code, **more}),
    )


vendor = SplunkHec
