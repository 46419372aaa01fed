"""From a stored event to the record that is sent to a SIEM.

The steps: names beside ids (if the SIEM gets them), the source's processing rules, the SIEM's privacy rules, the
format, and the SIEM's own encoding.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from blocks.siem import added_names
from blocks.siem.formats import registry
from blocks.siem.privacy import processing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from blocks.siem.delivery.protocol import EncodedRecord, Sender
    from blocks.siem.formats.event import OutgoingEvent, StreamMetadata
    from blocks.siem.privacy.processing import ProcessingRules
    from blocks.siem.privacy.rules import RuleOutcome, Rules


@dataclass(frozen=True, slots=True)
class FilteredEvent:
    """An event that a rule filters, and the reason: it is not sent to the SIEM."""

    event: OutgoingEvent
    reason: str


@dataclass(frozen=True, slots=True)
class Preparer:
    """Makes the records for one SIEM from the events of one stream. Threads share it.

    `names` are the imported names by id; they are empty unless the SIEM gets names.
    """

    sender: Sender
    rules: Rules
    format_name: str
    stream: StreamMetadata
    processing: ProcessingRules = processing.NONE
    names: Mapping[str, str] = field(default_factory=dict)

    def prepare(self, event: OutgoingEvent) -> EncodedRecord | FilteredEvent:
        """Return the record of an event, or why it is not sent. Raises nothing, whatever the stored event holds."""
        outcome = self.apply_rules(event)
        if outcome.filter_reason is not None:
            return FilteredEvent(event, outcome.filter_reason)
        return self.sender.encode(registry.format_event(self.format_name, event, self.stream, outcome.body))

    def apply_rules(self, event: OutgoingEvent) -> RuleOutcome:
        """Return what the names and the rules of the source and of the SIEM make of an event. Raises nothing."""
        named = added_names.add_names(event.body, self.names) if self.names else None
        outcome = self.processing.apply(event.body, named)
        if outcome.filter_reason is None and not self.rules.empty:
            outcome = self.rules.apply(self.stream.api, event.body, outcome.body)
        return outcome
