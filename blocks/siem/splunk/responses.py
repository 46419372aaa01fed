"""What the HTTP Event Collector answers. Its codes are in Splunk's manual, "Troubleshoot HTTP Event Collector"."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from blocks.errors import ThirdPartyConfigError, ThirdPartyGenericError
from blocks.siem.delivery.protocol import RejectedRecord

if TYPE_CHECKING:
    from blocks.errors import SourceError
    from blocks.http.client import HttpResponse

SUCCESS_CODES = frozenset({0, 24, 25})
"""Success, and success with a queue, or the acknowledgements, near their limit."""
NO_DATA = 5
BAD_REQUEST = 400
EVENT_CODES = {
    6: "Invalid data format",
    12: "Event field is required",
    13: "Event field cannot be blank",
    15: "Error in handling indexed fields",
}
"""Codes that concern one event, whose place in the request is told: from 0."""
CONFIGURATION_CODES = {
    7: ("the index is not one that the token may write to", "Allow the index in the token's settings, or set another."),
    10: ("the channel is missing", "Look for a proxy that takes X-Splunk-Request-Channel away."),
    11: ("the channel is not one that it takes", "Look for a proxy that changes X-Splunk-Request-Channel."),
    14: ("acknowledgement is switched off", "Switch indexer acknowledgement on for the token, or off for good."),
    21: ("it does not know the token", "Check the token, and store it with `onepassword-source apply FILE`."),
    22: ("the token is switched off", "Enable the token in Splunk."),
}


class _HecResponse(msgspec.Struct, frozen=True, rename={"number": "invalid-event-number", "ack": "ackId"}):
    """Members of any answer. Each of them may be missing."""

    code: int | None = None
    number: int | None = None
    ack: int | None = None
    acks: dict[str, bool] | None = None
    text: str | None = None


_EMPTY = _HecResponse()
_read = msgspec.json.Decoder(_HecResponse).decode


def is_accepted(response: HttpResponse) -> bool:
    """Whether Splunk itself says that it took a request; a proxy or a sign-in may say 200 too."""
    said = _parse(response)
    return response.is_success and (said.code in SUCCESS_CODES or said.ack is not None)


def hec_code(response: HttpResponse) -> int | None:
    return _parse(response).code


def ack_id(response: HttpResponse) -> int | None:
    """The number to ask for with the acknowledgement, where the token has that switched on."""
    return _parse(response).ack


def hec_text(content: bytes) -> bytes:
    """What HEC says, with the number of it; nothing where it is not HEC that speaks."""
    said = _parse_content(content)
    return b"" if said.code is None else f"{said.text or 'no text'}, code {said.code}".encode()


def is_acknowledged(response: HttpResponse, ack: int) -> bool:
    return (_parse(response).acks or {}).get(str(ack), False)


def rejected_record(response: HttpResponse, events: int) -> RejectedRecord | None:
    """The one event that is bad, if that is what the answer says."""
    said = _parse(response)
    if response.status_code != BAD_REQUEST or said.code not in EVENT_CODES or said.number is None:
        return None
    if not 0 <= said.number < events:
        return None
    return RejectedRecord(said.number, str(said.code), EVENT_CODES[said.code])


def configuration_error(response: HttpResponse) -> SourceError | None:
    """A 400 that concerns all events: a person must act."""
    code = hec_code(response)
    if response.status_code != BAD_REQUEST or code not in CONFIGURATION_CODES:
        return None
    what, hint = CONFIGURATION_CODES[code]
    return ThirdPartyConfigError(f"Splunk refuses all events: {what} (400, code {code}).", hint=hint, code="400")


def unacknowledged_error(seconds: float) -> ThirdPartyGenericError:
    return ThirdPartyGenericError(
        f"Splunk took the events, but did not say within {seconds:g} seconds that they are indexed.",
        hint="They are sent again. If it goes on, look at its indexing queues, and whether a load balancer sends"
        " the questions of one client to several servers.",
        code="ack",
    )


def _parse(response: HttpResponse) -> _HecResponse:
    return _parse_content(response.content)


def _parse_content(content: bytes) -> _HecResponse:
    try:
        return _read(content)
    except (ValueError, RecursionError):
        return _EMPTY
