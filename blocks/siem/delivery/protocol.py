"""What a sender is given, and what it answers. One sender is one open connection to one SIEM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import msgspec

from blocks.errors import SourceError, ThirdPartyConfigError, ThirdPartyGenericError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from blocks.siem.formats.event import FormattedEvent, OutgoingEvent, StreamMetadata


class TooLargeError(SourceError):
    """The SIEM does not take so large a request (413): it is cut in halves."""

    name = "TooLarge"


class RequestRejectedError(ThirdPartyConfigError):
    """The SIEM cannot use a request (400, 422) and does not say which of its events is to blame.

    The event is found by halving. Where none at all is taken, it is the configuration.
    """


class NoConfirmationError(ThirdPartyGenericError):
    """The target may have taken the batch, and did not confirm it as its protocol demands.

    Each further try may be another copy of the same events. Where it never confirms, it is the configuration.
    """

    def as_configuration(self, tries: int) -> ThirdPartyConfigError:
        """What remains to be said after so many tries."""
        return ThirdPartyConfigError(f"{self.message} So it was {tries} times.", hint=self.hint, code=self.code)


@dataclass(frozen=True, slots=True)
class Limits:
    """How a SIEM wants its requests.

    `events` and `bytes` (of encoded records, before compression) bound one request; `parallel` is how many may be on
    their way at once. `hourly`: events go out when the hour in which they were received is over, one object for each.
    """

    events: int = 1000
    bytes: int = 1_000_000
    parallel: int = 4
    hourly: bool = False


class EncodedRecord(msgspec.Struct, frozen=True, gc=False):
    """An event as it stands in a request. Only records of one group go into one request."""

    event: OutgoingEvent
    data: bytes
    group: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Batch:
    """The records of one request, in the order of their ids.

    `name` is the same whenever the same events are sent again: a SIEM that knows it need not take them twice.
    """

    name: str
    stream: StreamMetadata
    records: Sequence[EncodedRecord]

    @property
    def group(self) -> tuple[str, ...]:
        return self.records[0].group


@dataclass(frozen=True, slots=True)
class RejectedRecord:
    """A record that the SIEM refuses for good: its place in the batch, and what the SIEM said of it."""

    index: int
    code: str
    answer: str


@dataclass(frozen=True, slots=True)
class BatchResult:
    """What became of a batch. Records that are named in neither member were accepted.

    `again`: places of the records to be sent once more, since what is in their way passes; `wait`: seconds that the
    SIEM asks for before that.
    """

    rejected: tuple[RejectedRecord, ...] = ()
    deferred: tuple[int, ...] = ()
    retry_after: float | None = None


ACCEPTED = BatchResult()
NOT_TRIED = "No event was tried: whether one is taken shows with the first."
"""What a check says where the SIEM can neither take one back nor try it."""


class Sender(Protocol):
    """An open connection to one SIEM. Threads share it.

    Raises ThirdPartyConfigError (401, 403, 404: a person must act), ThirdPartyGenericError (408, 425, 429, 5xx,
    network: the batch is sent again), RequestRejectedError or TooLargeError; then no record of it counts as sent.
    """

    limits: Limits

    def encode(self, shaped: FormattedEvent) -> EncodedRecord:
        """The record of an event. Called once for each event, from several threads."""
        ...

    def send(self, batch: Batch) -> BatchResult:
        """Send a batch and wait for the SIEM's word on it."""
        ...

    def check(self) -> str:
        """Ask the SIEM, without sending an event, whether it would take some: one sentence.

        Raises ThirdPartyConfigError and ThirdPartyGenericError.
        """
        ...

    def close(self) -> None: ...


class ObjectSender(Sender, Protocol):
    """A sender of objects, `limits.hourly`: each takes its records while they are made, so it is never held whole."""

    def send_object(self, stream: StreamMetadata, records: Iterator[Sequence[EncodedRecord]]) -> None:
        """Write one object of all records, or none where there are none. Raises as `send`, and what `records` raises.

        Where the same event begins it again, it is the same object.
        """
        ...
