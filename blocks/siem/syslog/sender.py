"""Syslog over TLS: one connection for each batch."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, NoReturn

from blocks.siem.delivery.protocol import ACCEPTED, BatchResult, EncodedRecord, Limits, RejectedRecord
from blocks.siem.syslog import rfc5425

if TYPE_CHECKING:
    from collections.abc import Sequence

    from blocks.siem.delivery.protocol import Batch
    from blocks.siem.formats.event import FormattedEvent
    from blocks.siem.syslog.rfc5424 import MessageEncoder
    from blocks.siem.syslog.rfc5425 import Receiver

LIMITS = Limits(events=2000, bytes=4_000_000, parallel=2)
_data = operator.attrgetter("data")


class SyslogSender:
    """Sends to one receiver. Threads share it; each batch has a connection of its own.

    Messages of more than `max_message` octets (0: no limit) are rejected here: receivers truncate them silently.
    """

    limits = LIMITS

    def __init__(self, receiver: Receiver, messages: MessageEncoder, max_message: int) -> None:
        self._receiver = receiver
        self._messages = messages
        self._max_message = max_message

    def __repr__(self) -> str:
        return f"SyslogSender({self._receiver.host!r}, {self._receiver.port})"

    def __getstate__(self) -> NoReturn:
        raise TypeError("A SyslogSender is not pickled: it holds a key. Open another one.")

    def encode(self, formatted: FormattedEvent) -> EncodedRecord:
        return EncodedRecord(formatted.event, rfc5425.frame(self._messages.encode(formatted)))

    def send(self, batch: Batch) -> BatchResult:
        """Send a batch and wait until the receiver has read all of it. Raises as `Receiver.send`."""
        rejected = self._too_large(batch.records)
        left_out = {record.index for record in rejected}
        data = [record.data for index, record in enumerate(batch.records) if index not in left_out]
        if data:
            self._receiver.send(b"".join(data))
        return BatchResult(rejected=rejected) if rejected else ACCEPTED

    def check(self) -> str:
        version = self._receiver.send(b"")
        how = "confirms" if self._receiver.confirms else "is not required to confirm"
        return f"{self._receiver.host} accepts syslog over {version}, and {how} that it has read a batch."

    def close(self) -> None:
        """Nothing to close: no connection is open between batches."""

    def _too_large(self, records: Sequence[EncodedRecord]) -> tuple[RejectedRecord, ...]:
        most = self._max_message
        if not most or max(map(len, map(_data, records))) <= most:
            return ()
        sizes = ((index, rfc5425.message_length(record.data)) for index, record in enumerate(records))
        return tuple(_too_large_record(index, size, most) for index, size in sizes if size > most)


def _too_large_record(index: int, size: int, most: int) -> RejectedRecord:
    answer = f"The message has {size:,} octets, and max_message is {most:,}: raise it, and the receiver's limit, too."
    return RejectedRecord(index, "too-large", answer)
