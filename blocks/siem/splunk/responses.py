"""What the HTTP Event Collector answers. Its codes are in Splunk's manual, "Troubleshoot HTTP Event Collector"."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from blocks.errors import ThirdPartyConfigError, ThirdPartyGenericError
from blocks.siem.delivery.protocol import RejectedRecord

if TYPE_CHECKING:
    from blocks.errors import SourceError
    from blocks.http.client import HttpResponse

TAKEN = frozenset({0, 24, 25})
"""Success, and success with a queue, or the acknowledgements, near their limit."""
NO_DATA = 5
BAD_REQUEST = 400
BAD_EVENT = {
    6: "Invalid data format",
    12: "Event field is required",
    13: "Event field cannot be blank",
    15: "Error in handling indexed fields",
}
"""Codes that concern one event, whose place in the request is told: from 0."""
CONFIGURATION = {
    7: ("the index is not one that the token may write to", "Allow the index in the token's settings, or set another."),
    10: ("the channel is missing", "Look for a proxy that takes X-Splunk-Request-Channel away."),
    11: ("the channel is not one that it takes", "Look for a proxy that changes X-Splunk-Request-Channel."),
    14: ("acknowledgement is switched off", "Switch indexer acknowledgement on for the token, or off for good."),
    21: ("it does not know the token", "Check the token, and store it with `onepassword-source apply FILE`."),
    22: ("the token is switched off", "Enable the token in Splunk."),
}


class _Said(msgspec.Struct, frozen=True, rename={"number": "invalid-event-number", "ack": "ackId"}):
    """Members of any answer. Each of them may be missing."""

    code: int | None = None
    number: int | None = None
    ack: int | None = None
    acks: dict[str, bool] | None = None
    text: str | None = None


_NOTHING = _Said()
_read = msgspec.json.Decoder(_Said).decode


def is_yes(response: HttpResponse) -> bool:
    """Whether Splunk itself says that it took a request; a proxy or a sign-in may say 200 too."""
    said = _said(response)
    return response.is_success and (said.code in TAKEN or said.ack is not None)


def code_of(response: HttpResponse) -> int | None:
    return _said(response).code


def ack_of(response: HttpResponse) -> int | None:
    """The number to ask for with the acknowledgement, where the token has that switched on."""
    return _said(response).ack


def words(content: bytes) -> bytes:
    """What HEC says, with the number of it; nothing where it is not HEC that speaks."""
    said = _read_or_nothing(content)
    return b"" if said.code is None else f"{said.text or 'no text'}, code {said.code}".encode()


def is_acknowledged(response: HttpResponse, ack: int) -> bool:
    return (_said(response).acks or {}).get(str(ack), False)


def refused(response: HttpResponse, events: int) -> RejectedRecord | None:
    """The one event that is bad, if that is what the answer says."""
    said = _said(response)
    if response.status_code != BAD_REQUEST or said.code not in BAD_EVENT or said.number is None:
        return None
    if not 0 <= said.number < events:
        return None
    return RejectedRecord(said.number, str(said.code), BAD_EVENT[said.code])


def of_configuration(response: HttpResponse) -> SourceError | None:
    """A 400 that concerns all events: a person must act."""
    code = code_of(response)
    if response.status_code != BAD_REQUEST or code not in CONFIGURATION:
        return None
    what, hint = CONFIGURATION[code]
    return ThirdPartyConfigError(f"Splunk refuses all events: {what} (400, code {code}).", hint=hint, code="400")


def unacknowledged(seconds: float) -> ThirdPartyGenericError:
    return ThirdPartyGenericError(
        f"Splunk took the events, but did not say within {seconds:g} seconds that they are indexed.",
        hint="They are sent again. If it goes on, look at its indexing queues, and whether a load balancer sends"
        " the questions of one client to several servers.",
        code="ack",
    )


def _said(response: HttpResponse) -> _Said:
    return _read_or_nothing(response.content)


def _read_or_nothing(content: bytes) -> _Said:
    try:
        return _read(content)
    except (ValueError, RecursionError):
        return _NOTHING
