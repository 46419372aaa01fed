"""Responses of the HTTP Event Collector. Its codes are in Splunk's manual, "Troubleshoot HTTP Event Collector"."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from blocks.errors import ThirdPartyConfigError, ThirdPartyGenericError
from blocks.siem.delivery.protocol import RejectedRecord

if TYPE_CHECKING:
    from blocks.errors import SourceError
    from blocks.http.client import HttpResponse

SUCCESS_CODES = frozenset({0, 24, 25})
"""Success, and success while a queue or the acknowledgements are near their limit."""
NO_DATA = 5
BAD_REQUEST = 400
EVENT_CODES = {
    6: "Invalid data format",
    12: "Event field is required",
    13: "Event field cannot be blank",
    15: "Error in handling indexed fields",
}
"""Codes that concern one event. The response has its index in the request, from 0."""
CONFIGURATION_CODES = {
    7: ("the token may not write to this index", "Allow the index in the token's settings, or set another one."),
    10: ("the channel is missing", "Look for a proxy that removes X-Splunk-Request-Channel."),
    11: ("the channel is invalid", "Look for a proxy that changes X-Splunk-Request-Channel."),
    14: ("acknowledgement is disabled", "Enable indexer acknowledgement for the token, or disable it for good."),
    21: ("the token is unknown", "Check the token, and store it with `onepassword-source apply FILE`."),
    22: ("the token is disabled", "Enable the token in Splunk."),
}


class _HecResponse(msgspec.Struct, frozen=True, rename={"number": "invalid-event-number", "ack": "ackId"}):
    """The members of any response. Each may be missing."""

    code: int | None = None
    number: int | None = None
    ack: int | None = None
    acks: dict[str, bool] | None = None
    text: str | None = None


_EMPTY = _HecResponse()
_read = msgspec.json.Decoder(_HecResponse).decode


def is_accepted(response: HttpResponse) -> bool:
    """Return whether Splunk itself accepted a request. A proxy or a sign-in page may answer 200, too."""
    said = _parse(response)
    return response.is_success and (said.code in SUCCESS_CODES or said.ack is not None)


def hec_code(response: HttpResponse) -> int | None:
    return _parse(response).code


def ack_id(response: HttpResponse) -> int | None:
    """Return the id by which to poll for the acknowledgement, if the token has acknowledgement enabled."""
    return _parse(response).ack


def hec_text(content: bytes) -> bytes:
    """Return the text of HEC with its code, or nothing if the response does not come from HEC."""
    said = _parse_content(content)
    return b"" if said.code is None else f"{said.text or 'no text'}, code {said.code}".encode()


def is_acknowledged(response: HttpResponse, ack: int) -> bool:
    return (_parse(response).acks or {}).get(str(ack), False)


def rejected_record(response: HttpResponse, events: int) -> RejectedRecord | None:
    """Return the one event that is invalid, if the response names one."""
    said = _parse(response)
    if response.status_code != BAD_REQUEST or said.code not in EVENT_CODES or said.number is None:
        return None
    if not 0 <= said.number < events:
        return None
    return RejectedRecord(said.number, str(said.code), EVENT_CODES[said.code])


def configuration_error(response: HttpResponse) -> SourceError | None:
    """Return the error of a 400 that concerns all events: you must act."""
    code = hec_code(response)
    if response.status_code != BAD_REQUEST or code not in CONFIGURATION_CODES:
        return None
    what, hint = CONFIGURATION_CODES[code]
    return ThirdPartyConfigError(f"Splunk rejects all events: {what} (400, code {code}).", hint=hint, code="400")


def unacknowledged_error(seconds: float) -> ThirdPartyGenericError:
    return ThirdPartyGenericError(
        f"Splunk accepted the events, but did not confirm within {seconds:g} s that they are indexed.",
        hint="They are sent again. If this continues, look at Splunk's indexing queues, and for a load balancer that"
        " distributes the requests of one client to several servers.",
        code="ack",
    )


def _parse(response: HttpResponse) -> _HecResponse:
    return _parse_content(response.content)


def _parse_content(content: bytes) -> _HecResponse:
    try:
        return _read(content)
    except (ValueError, RecursionError):
        return _EMPTY
