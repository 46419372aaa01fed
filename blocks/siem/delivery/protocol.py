"""The contract between delivery and a sender. A sender is one open connection to one SIEM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import msgspec

from blocks.errors import SourceError, ThirdPartyConfigError, ThirdPartyGenericError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from blocks.siem.formats.event import FormattedEvent, OutgoingEvent, StreamMetadata


class TooLargeError(SourceError):
    """The SIEM does not accept a request of this size (413). The batch is cut in half and sent again."""

    name = "TooLarge"


class RequestRejectedError(ThirdPartyConfigError):
    """The SIEM rejects a request as invalid (400, 422) and does not name the event that is invalid.

    The event is found by bisection. If the SIEM accepts no event at all, the error is one of the configuration.
    """


class NoConfirmationError(ThirdPartyGenericError):
    """The SIEM may have accepted the batch, but did not confirm it as its protocol demands.

    Each retry may store another copy of the same events. After several, the error is one of the configuration.
    """

    def as_configuration(self, tries: int) -> ThirdPartyConfigError:
        """Return the error that stops delivery after so many tries."""
        return ThirdPartyConfigError(f"{self.message} This happened {tries} times.", hint=self.hint, code=self.code)


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a SIEM's requests.

    `events` and `bytes` (of encoded records, before compression) bound one request, `parallel` the requests in flight.
    `hourly`: events are sent after the hour in which they were received is over, as one object for each hour.
    """

    events: int = 1000
    bytes: int = 1_000_000
    parallel: int = 4
    hourly: bool = False


class EncodedRecord(msgspec.Struct, frozen=True, gc=False):
    """An event as it is in a request. One request holds records of one `group` only."""

    event: OutgoingEvent
    data: bytes
    group: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Batch:
    """The records of one request, in the order of their ids.

    `name` is the same whenever the same events are sent again, so that a SIEM can use it as an idempotency key.
    """

    name: str
    stream: StreamMetadata
    records: Sequence[EncodedRecord]

    @property
    def group(self) -> tuple[str, ...]:
        return self.records[0].group


@dataclass(frozen=True, slots=True)
class RejectedRecord:
    """A record that the SIEM rejects for good: its index in the batch, and the SIEM's answer."""

    index: int
    code: str
    answer: str


@dataclass(frozen=True, slots=True)
class BatchResult:
    """The result of a batch. Records in neither member were accepted.

    `deferred`: indexes of the records to send again, since the obstacle is temporary. `retry_after`: the seconds that
    the SIEM requests before that.
    """

    rejected: tuple[RejectedRecord, ...] = ()
    deferred: tuple[int, ...] = ()
    retry_after: float | None = None


ACCEPTED = BatchResult()
NOT_TRIED = "No event was sent: the first one will show whether events are accepted."
"""The last sentence of a check, if the SIEM can neither delete a test event nor simulate one."""


class Sender(Protocol):
    """An open connection to one SIEM. Threads share it.

    `send` and `check` raise ThirdPartyConfigError (401, 403, 404: you must act) or ThirdPartyGenericError (408, 425,
    429, 5xx, network: the batch is sent again). `send` also raises RequestRejectedError and TooLargeError. After an
    error, no record of the batch counts as sent.
    """

    limits: Limits

    def encode(self, formatted: FormattedEvent) -> EncodedRecord:
        """Return the record of an event. It is called once for each event, from several threads."""
        ...

    def send(self, batch: Batch) -> BatchResult:
        """Send a batch and wait until the SIEM acknowledges or rejects it."""
        ...

    def check(self) -> str:
        """Check, without sending an event, whether the SIEM would accept one. Returns one sentence."""
        ...

    def close(self) -> None: ...


class ObjectSender(Sender, Protocol):
    """A sender of objects (`limits.hourly`). It reads records while it writes, so no object is in memory as a whole."""

    def send_object(self, stream: StreamMetadata, records: Iterator[Sequence[EncodedRecord]]) -> None:
        """Write one object with all records, or none if there are none. Raises as `send`, and what `records` raises.

        An object that begins with the same event is the same object: it is replaced.
        """
        ...
