"""The records that the modules of forwarding share: pairs, claims on positions, batches to send again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from blocks.events_api.models import Api
    from blocks.siem.formats.event import OutgoingEvent

FORWARD_FIELD = "_siemForward"


def is_forwarding_enabled(fields: Mapping[str, object]) -> bool:
    """True if the field `_siemForward` is True, or the text `true` in any case: the source's events go to SIEMs.

    The number 1 does not enable it, although it equals True.
    """
    value = fields.get(FORWARD_FIELD)
    return value is True or (isinstance(value, str) and value.lower() == "true")


@dataclass(frozen=True, slots=True)
class ForwardPair:
    """A source and a SIEM. Times are nanoseconds since 1970."""

    id: str
    source_id: str
    source: str
    siem: str
    kind: str
    config: dict[str, Any]
    fingerprint: str
    created_ns: int
    paused_ns: int | None


@dataclass(frozen=True, slots=True)
class PositionClaim:
    """The right to forward one stream to one SIEM, held by one run."""

    pair_id: str
    siem: str
    stream_id: int
    api: Api
    holder: str
    fence: int


@dataclass(frozen=True, slots=True)
class ReplayBatch:
    """Rejected events of one stream to send again; `mark_ns` is when the replay was requested, in ns since 1970."""

    mark_ns: int
    events: Sequence[OutgoingEvent]
