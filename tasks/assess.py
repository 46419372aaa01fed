"""Assess a source at the end of a run, for conditions that depend on time: silence, lag, gaps, an expiring token."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from blocks import clock
from blocks.config import alert_thresholds
from blocks.coverage import gaps
from blocks.coverage.advice import command_for, format_second
from blocks.coverage.gaps import SOON_NS, GapKind
from blocks.events_api.token import read_claims
from blocks.health import WARNING, Condition, tracker_of
from blocks.liveness import RUNS, WORKS, lag_condition
from blocks.store import coverage_record, event_times, health, sources, streams
from tasks.support.source import open_store, shared_source, source_record

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from blocks.coverage.gaps import Coverage, Gap
    from blocks.source import OnePasswordSource
    from blocks.store.streams import StreamView

DAY_NS = 86_400 * 10**9
LOST_SHOWN_NS = 4 * DAY_NS  # how long a lost gap stays in `status`; windows are remembered for 125 days
RENEW = (
    "Issue a new one in 1Password under Integrations, Events Reporting, and store it with `onepassword-source token`."
)


@dataclass(slots=True)
class Findings:
    """Conditions that are active, and conditions that have ended, each with a sentence for people."""

    active: list[Condition] = field(default_factory=list)
    ended: list[Condition] = field(default_factory=list)

    def settle(self, condition: Condition, *, is_active: bool, over: str) -> None:
        """Note the condition as active, or as ended with the sentence `over`."""
        if is_active:
            self.active.append(condition)
        else:
            ended = Condition(condition.tracker, "Recovered", condition.severity, over, condition.api)
            self.ended.append(ended)


def assess(source: str) -> None:
    """Begin and end the conditions of a source that depend on time. Raises SourceError."""
    block = shared_source(source)
    assess_block(block, open_store(block))


def assess_block(block: OnePasswordSource, engine: Engine) -> None:
    """Assess a loaded block, with its opened store."""
    record = source_record(block)
    findings = Findings()
    views = streams.of_source(engine, record.id, record.apis)
    created_ns = sources.created_ns(engine, record.id)
    _token(findings, block)
    covered = {
        record.api: gaps.coverage(record, clock.now_ns()) for record in coverage_record.records(engine, record.id)
    }
    for view in views:
        if view.api in covered:
            _gap(findings, block, covered[view.api])
        _silence(findings, block, view, created_ns)
        _lag(findings, block, view)
        _quarantine(findings, engine, view)
        _future(findings, engine, view)
    if not any(view.failing_since_ns or view.stopped_fingerprint for view in views):
        findings.ended.append(Condition("error", "Recovered", WARNING, "The source is collected again."))
    findings.ended.append(Condition(RUNS, "Recovered", WARNING, WORKS))
    health.update_conditions(engine, record.id, findings.active, findings.ended)


def _token(findings: Findings, block: OnePasswordSource) -> None:
    claims = read_claims(block.credentials.api_token.get_secret_value())
    left = None if claims is None or claims.expires_at is None else (claims.expires_at - clock.now()) / 86_400
    bound = next((days for days in alert_thresholds.TOKEN_EXPIRES_DAYS if left is not None and left < days), None)
    when = "has expired" if left is not None and left < 0 else f"expires in less than {bound} day{'s'[: bound != 1]}"
    expires = Condition(
        "token", "TokenExpires", WARNING, f"The token {when}.", value=when, error_code="expiry", hint=RENEW
    )
    findings.settle(
        expires,
        is_active=bound is not None,
        over=f"The token is valid for more than {max(alert_thresholds.TOKEN_EXPIRES_DAYS)} days again.",
    )


def _silence(findings: Findings, block: OnePasswordSource, view: StreamView, created_ns: int) -> None:
    """An API that is not read to its end is not silent: that is the condition Lag."""
    bound = alert_thresholds.silence_ns(block.silence_after, view.api, view.quiet_ns)
    if view.drained_ns is None:
        return
    newest_ns = created_ns if view.newest_ns is None else view.newest_ns
    silent = bound is not None and view.drained_ns - newest_ns > bound
    condition = Condition(
        tracker_of("silence", view.api),
        "Silence",
        WARNING,
        f"{view.api} has had no event for more than {clock.format_span(bound or 0)}, which is unusual for it.",
        view.api,
        hint="If your people do use 1Password, check the token's scopes and the events in 1Password itself; "
        "`onepassword-source check NAME --deep` requests one of each API; silence_after sets another bound.",
    )
    findings.settle(condition, is_active=silent, over=f"{view.api} has events again.")


def _lag(findings: Findings, block: OnePasswordSource, view: StreamView) -> None:
    """An API in error has a condition of its own, so it does not lag as well."""
    bound = alert_thresholds.lag_ns(block.lag_after)
    failing = view.failing_since_ns is not None or view.stopped_fingerprint is not None
    late = bound is not None and view.drained_ns is not None and clock.now_ns() - view.drained_ns > bound
    if not failing:
        findings.settle(
            lag_condition(view.api, bound or 0), is_active=late, over=f"{view.api} is read to its end again."
        )


def _gap(findings: Findings, block: OnePasswordSource, found: Coverage) -> None:
    """A gap that can still be closed comes before a lost one, since you can do something about it.

    Both are one condition. A gap that is not closed is reported twice: while there is time, and when it is lost.
    """
    now_ns = found.now_ns
    soon = [gap for gap in found.holes if gap.kind is not GapKind.LOST and gap.left_ns(now_ns) < SOON_NS]
    lost = [gap for gap in found.holes if gap.kind is GapKind.LOST and gap.dropped_by_ns > now_ns - LOST_SHOWN_NS]
    tracker = tracker_of("gap", found.api)
    if soon:
        findings.active.append(_closing(tracker, block.name, found, soon[0]))
    elif lost:
        findings.active.append(_lost(tracker, found.api, lost[-1]))
    else:
        over = f"1Password is no longer about to delete a gap of {found.api}."
        findings.ended.append(Condition(tracker, "Recovered", WARNING, over, found.api))


def _closing(tracker: str, name: str, found: Coverage, gap: Gap) -> Condition:
    command = command_for(gap, name, (found.api,), found.record.stopped)
    return Condition(
        tracker,
        "Gap",
        WARNING,
        f"{found.api} was not collected {_span(gap)}. 1Password deletes these events from "
        f"{format_second(gap.dropped_from_ns)} on.",
        found.api,
        value=gap.kind.value if gap.kind is GapKind.OPEN else f"{gap.kind.value} {gap.end_ns}",
        error_code="gap",
        hint=f"Fetch them in time: `{command}`.",
    )


def _lost(tracker: str, api: str, gap: Gap) -> Condition:
    return Condition(
        tracker,
        "GapLost",
        WARNING,
        f"{api} was not collected {_span(gap)}. 1Password has deleted these events: they are lost.",
        api,
        value=f"{gap.kind.value} {gap.end_ns}",
        error_code="gap-lost",
        hint="`onepassword-source coverage` shows what is stored.",
    )


def _span(gap: Gap) -> str:
    return f"from {format_second(gap.start_ns)} to {format_second(gap.end_ns)}"


def _quarantine(findings: Findings, engine: Engine, view: StreamView) -> None:
    last_ns = streams.last_quarantined_ns(engine, view.id)
    tracker = tracker_of("quarantine", view.api)
    if last_ns is None or clock.now_ns() - last_ns > DAY_NS:
        sentence = f"No item of {view.api} was put in quarantine for a day."
        findings.ended.append(Condition(tracker, "Recovered", WARNING, sentence, view.api))


def _future(findings: Findings, engine: Engine, view: StreamView) -> None:
    """The condition begins with the page that holds such an event. It ends when none has come for a day."""
    number, last_ns = event_times.count_in_future(engine, view.id)
    if last_ns is None or clock.now_ns() - last_ns > DAY_NS:
        kept = f" {number:,} such events are stored." if number else ""
        sentence = f"No event of {view.api} dated in the future has come for a day.{kept}"
        findings.ended.append(Condition(tracker_of("future", view.api), "Recovered", WARNING, sentence, view.api))
