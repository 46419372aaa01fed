"""What operators do with a SIEM. Each action is that of a command, run as a job, and recorded in the audit log."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from blocks import clock
from blocks.durations import parse_time
from blocks.errors import ThirdPartyConfigError
from blocks.store.forwarding import forward_pairs, rejected_events
from deployments import deferred
from deployments.siem_test import SiemTest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sqlalchemy import Engine

    from blocks.store.forwarding.records import ForwardPair
    from blocks.store.forwarding.rejected_events import EventKey
    from deployments.console.jobs import Job

SAMPLES_MAX = 20
REASON_MAX = 500
_CHOSEN = re.compile(r"event ([0-9a-f]{32}) (\d{1,18}) (\d{1,18})")
"""The names of the check boxes: pair, stream and event."""


@dataclass(frozen=True)
class SiemRequest:
    """What an operator wants of the SIEM `name`: for one source, or for all if `source` is None."""

    engine: Engine
    name: str
    form: Mapping[str, str]

    @property
    def source(self) -> str | None:
        return self.form.get("source") or None

    def chosen(self) -> list[tuple[ForwardPair, list[EventKey] | None]]:
        """The pairs and the rejected events that are chosen on the page; None for all of a pair."""
        pairs = forward_pairs.require(self.engine, self.name, self.source)
        if self.form.get("all") == "on":
            return [(pair, None) for pair in pairs]
        keys: dict[str, list[EventKey]] = {}
        for match in filter(None, map(_CHOSEN.fullmatch, self.form)):
            keys.setdefault(match[1], []).append((int(match[2]), int(match[3])))
        found = [(pair, keys[pair.id]) for pair in pairs if pair.id in keys]
        if not found:
            raise ThirdPartyConfigError("No event is chosen. Nothing was changed.", code="usage")
        return [(pair, of_pair) for pair, of_pair in found]


@dataclass(frozen=True)
class SiemAction:
    """`work` gets the job and the request, and returns what to report to the operator."""

    title: str
    work: Callable[[Job, SiemRequest], str]


def pause(_job: Job, request: SiemRequest) -> str:
    """Pause the pairs: their events wait in the store."""
    changed = deferred.siem_actions.set_paused(request.name, request.source, paused=True)
    return f"{_pairs(changed)} paused. Their events wait in the store."


def resume(_job: Job, request: SiemRequest) -> str:
    """Resume the pairs, clear their errors, and forward."""
    changed = deferred.siem_actions.set_paused(request.name, request.source, paused=False)
    return f"{_pairs(changed)} resumed. Errors are cleared, and what waited is sent now."


def test(job: Job, request: SiemRequest) -> str:
    """Encode sample events, and send a test request."""
    number = request.form.get("number", "3")
    if not number.isdecimal() or not 1 <= int(number) <= SAMPLES_MAX:
        raise ThirdPartyConfigError(f"Choose 1 to {SAMPLES_MAX} events of each API.", code="usage")
    offline = request.form.get("offline") == "on"
    found: SiemTest = deferred.siem_samples.try_siem(request.name, request.source, int(number), offline=offline)
    job.result = found
    if not found.works:
        raise ThirdPartyConfigError(found.answer, hint="No event was sent.", code="siem")
    return found.answer or "No test request was made."


def replay(_job: Job, request: SiemRequest) -> str:
    """Send events again that were received since a time."""
    since_ns = parse_time(request.form.get("since", "").strip(), clock.now_ns())
    done = deferred.siem_actions.resend_since(request.name, request.source, since_ns)
    return f"{_total(done)} sent again, after those that already wait."


def resend(_job: Job, request: SiemRequest) -> str:
    """Send rejected events again."""
    done = [
        result
        for pair, keys in request.chosen()
        for result in deferred.siem_actions.resend_rejected(request.name, pair.source, keys)
    ]
    return f"{_total(done)} sent again with the next run, which starts now."


def discard(_job: Job, request: SiemRequest) -> str:
    """Leave rejected events out for good, with a reason."""
    reason = " ".join(request.form.get("reason", "").split())[:REASON_MAX]
    if not reason:
        raise ThirdPartyConfigError(
            "There is no reason in the form. Nothing was changed.",
            hint="The reason is recorded, so that others can see why these events are not in the SIEM.",
            code="usage",
        )
    done = [(pair, rejected_events.discard(request.engine, pair, keys, reason)) for pair, keys in request.chosen()]
    return f"{_total(done)} left out. The events themselves stay in the store."


def _pairs(changed: list[tuple[ForwardPair, bool]]) -> str:
    number = sum(was for _, was in changed)
    return f"{number:,} of {len(changed):,} sources {'was' if number == 1 else 'were'}"


def _total(done: list[tuple[ForwardPair, int]]) -> str:
    number = sum(count for _, count in done)
    return "1 event is" if number == 1 else f"{number:,} events are"


ACTIONS = {
    "pause": SiemAction("Pause", pause),
    "resume": SiemAction("Resume", resume),
    "test": SiemAction("Test", test),
    "replay": SiemAction("Replay to", replay),
    "resend": SiemAction("Send rejected events again to", resend),
    "discard": SiemAction("Leave rejected events out of", discard),
}
