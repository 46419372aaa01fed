"""From a stored event to the record that is sent to a SIEM.

The steps: the source's processing rules, the SIEM's privacy rules, the format, and the SIEM's own encoding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from blocks.siem.formats import registry
from blocks.siem.privacy import processing

if TYPE_CHECKING:
    from blocks.siem.delivery.protocol import EncodedRecord, Sender
    from blocks.siem.formats.event import OutgoingEvent, StreamMetadata
    from blocks.siem.privacy.processing import ProcessingRules
    from blocks.siem.privacy.rules import Rules


@dataclass(frozen=True, slots=True)
class FilteredEvent:
    """An event that a rule filters, and the reason: it is not sent to the SIEM."""

    event: OutgoingEvent
    reason: str


@dataclass(frozen=True, slots=True)
class Preparer:
    """Makes the records for one SIEM from the events of one stream. Threads share it."""

    sender: Sender
    rules: Rules
    format_name: str
    stream: StreamMetadata
    processing: ProcessingRules = processing.NONE

    def prepare(self, event: OutgoingEvent) -> EncodedRecord | FilteredEvent:
        """Return the record of an event, or why it is not sent. Raises nothing, whatever the stored event holds."""
        outcome = self.processing.apply(event.body)
        if outcome.filter_reason is None and not self.rules.empty:
            outcome = self.rules.apply(self.stream.api, event.body, outcome.body)
        if outcome.filter_reason is not None:
            return FilteredEvent(event, outcome.filter_reason)
        return self.sender.encode(registry.format_event(self.format_name, event, self.stream, outcome.body))
