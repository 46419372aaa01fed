"""From a stored event to the record that a SIEM is sent.

First the source's processing rules, then the SIEM's privacy rules, then the shape, then the SIEM's own form.
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
    """An event that a rule keeps from the SIEM, and why."""

    event: OutgoingEvent
    reason: str


@dataclass(frozen=True, slots=True)
class Preparer:
    """Makes records for one SIEM of the events of one stream. Threads share it."""

    sender: Sender
    rules: Rules
    shape: str
    stream: StreamMetadata
    processing: ProcessingRules = processing.NONE

    def prepare(self, event: OutgoingEvent) -> EncodedRecord | FilteredEvent:
        """Never raises for what a stored event may hold."""
        outcome = self.processing.apply(event.body)
        if outcome.filter_reason is None and not self.rules.empty:
            outcome = self.rules.apply(self.stream.api, event.body, outcome.body)
        if outcome.filter_reason is not None:
            return FilteredEvent(event, outcome.filter_reason)
        return self.sender.encode(registry.format_event(self.shape, event, self.stream, outcome.body))
