"""The verdict on a run: the outcome in one word, and a sentence for people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from whenever import Instant

from blocks import clock
from blocks.command_line import command_line
from blocks.errors import ClaimLostError, SourceError, as_source_error

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from blocks.store.claims import Holder
    from blocks.store.forwarding.positions import PositionView
    from blocks.store.streams import StreamView
    from tasks.forward import ForwardResult
    from tasks.support.drain import CollectResult

T = TypeVar("T")

# If several streams are in error, the run has the name of the error that a person has to act on first.
GRAVEST_FIRST = ("ThirdPartyConfigError", "FirstPartyGenericError", "ThirdPartyGenericError")

SKIPPED, RETRYING, STOPPED = "Skipped", "Retrying", "Stopped"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome of a run. `name` is one word for it.

    It is Collected (or Forwarded, …), Skipped (other runs hold every API), Retrying (the same, and one of these APIs
    is failing), Stopped, or the name of the gravest error.
    """

    name: str
    message: str

    @property
    def in_error(self) -> bool:
        return self.name in GRAVEST_FIRST


def collect_verdict(
    source: str,
    outcomes: Mapping[str, CollectResult | BaseException],
    *,
    stopped: Sequence[StreamView] = (),
    elsewhere: Sequence[StreamView] = (),
    stopping: bool = False,
) -> Verdict:
    """The verdict on a collect run of `source`.

    `outcomes` are of the streams that this run claimed, by API. `stopped` were in error before, and `elsewhere` are
    held by other runs. `stopping`: a stop was requested.
    """
    waited = stopping and not outcomes
    words = "Every API waited for its next attempt." if waited else _collected(_done(outcomes))
    run = _RunSummary(
        "Collected", "reading", restart_hint(source), words, waited or bool(_done(outcomes)), stopped, elsewhere
    )
    return _build(run, outcomes, stopping=stopping)


def forward_verdict(
    siem: str,
    outcomes: Mapping[str, ForwardResult | BaseException],
    *,
    stopped: Sequence[PositionView] = (),
    elsewhere: Sequence[PositionView] = (),
    stopping: bool = False,
) -> Verdict:
    """The verdict on a run that forwards to `siem`; see `collect_verdict`."""
    done = _done(outcomes)
    run = _RunSummary(
        "Forwarded", "forwarding", resume_hint(siem), _forwarded(siem, done), bool(done), stopped, elsewhere
    )
    return _build(run, outcomes, stopping=stopping)


@dataclass(frozen=True, slots=True)
class _RunSummary:
    """What differs between the flows: their verb, hint and sentence. `any_done`: an API was read or sent to its end."""

    name: str
    doing: str
    hint: str
    sentence: str
    any_done: bool
    stopped: Sequence[StreamView | PositionView]
    elsewhere: Sequence[StreamView | PositionView]


def _done(outcomes: Mapping[str, T | BaseException]) -> list[T]:
    return [outcome for outcome in outcomes.values() if not isinstance(outcome, BaseException)]


def _build(run: _RunSummary, outcomes: Mapping[str, object], *, stopping: bool) -> Verdict:
    errors = {api: as_source_error(outcome) for api, outcome in outcomes.items() if isinstance(outcome, BaseException)}
    lost = {api: str(error) for api, error in errors.items() if isinstance(error, ClaimLostError)}
    failed = {api: str(error) for api, error in errors.items() if api not in lost}
    failed |= {view.api: f"{view.error_message} {run.hint}" for view in run.stopped}
    kinds = {error.name for api, error in errors.items() if api in failed}
    kinds |= {view.error_type or "" for view in run.stopped}
    parts = group_by_sentence(failed)
    if run.any_done or not (failed or run.elsewhere or lost):
        parts.append(run.sentence)
    parts += group_by_sentence({view.api: describe_other_run(view, run.doing) for view in run.elsewhere} | lost)
    name = run.name if run.any_done or not (run.elsewhere or lost) else outcome_of_other_runs(run.elsewhere)
    name = next((kind for kind in GRAVEST_FIRST if kind in kinds), name)
    return Verdict(STOPPED if stopping else name, " ".join(parts))


def outcome_of_other_runs(elsewhere: Sequence[StreamView | PositionView]) -> str:
    """The outcome of a run that could claim nothing, since other runs hold every API."""
    return RETRYING if any(view.failing_since_ns is not None for view in elsewhere) else SKIPPED


def describe_other_run(view: StreamView | PositionView, doing: str) -> str:
    """What another run does with an API: since when it is `doing` it (reading, forwarding), or is retrying."""
    if view.failing_since_ns is not None:
        return f"retrying since {format_time(view.failing_since_ns)} in another run. {view.error_message}"
    if view.claimed_by is None:
        return f"another run is {doing} it."
    return f"{_describe_holder(view.claimed_by)} is {doing} it{_since_words(view.claimed_by.since_ns)}."


def _describe_holder(holder: Holder) -> str:
    where = "" if holder.host is None else f" on {holder.host}"
    process = "" if holder.pid is None else f" (process {holder.pid})"
    return f"flow run {holder.run}{where}{process}"


def _since_words(ns: int | None) -> str:
    return "" if ns is None else f", since {format_time(ns)}"


def group_by_sentence(sentences: Mapping[str, str]) -> list[str]:
    """`sign-in, audit: what happened`: APIs with the same sentence share one."""
    apis: dict[str, list[str]] = {}
    for api, sentence in sentences.items():
        apis.setdefault(sentence, []).append(api)
    return [f"{', '.join(names)}: {sentence}" for sentence, names in apis.items()]


def restart_hint(source: str) -> str:
    """How an API in error is read again."""
    command = command_line("restart", source)
    return f"No more requests are made for it until the configuration changes, or until `{command}`."


def resume_hint(siem: str) -> str:
    """How a pair in error is forwarded again."""
    return f"Nothing is sent until its configuration changes, or until `{command_line('siem resume', siem)}`."


def error_verdict(error: SourceError) -> Verdict:
    """The verdict on a run that an error ended before it read or sent anything."""
    return Verdict(error.name, str(error))


def format_ago(ns: int | None) -> str:
    """A time in words: `3 min ago`."""
    if ns is None:
        return "never"
    return f"{clock.format_age(ns)} ago"


def format_time(ns: int) -> str:
    """A time to the second: `2026-08-01T12:00:00Z`."""
    return Instant.from_timestamp(ns, unit="nanosecond").format_iso(unit="second")


def _collected(done: list[CollectResult]) -> str:
    new = sum(one.new for one in done)
    each = ", ".join(f"{one.api} {one.new:,}" for one in done)
    newest = max((one.newest_ns for one in done if one.newest_ns is not None), default=None)
    aside = sum(one.quarantined for one in done)
    text = f"{new:,} new event{'' if new == 1 else 's'} ({each})" if each else "Nothing to read"
    if newest is not None:
        text += f", the newest {format_ago(newest)}"
    if aside:
        text += f"; {aside:,} put in quarantine"
    return " ".join([f"{text}.", *group_by_sentence({one.api: f"{one.note}." for one in done if one.note})])


def _forwarded(siem: str, done: list[ForwardResult]) -> str:
    sent = sum(one.sent for one in done)
    text = f"{sent:,} event{'' if sent == 1 else 's'} sent to {siem}"
    if each := ", ".join(f"{one.api} {one.sent:,}" for one in done if one.sent):
        text += f" ({each})"
    if filtered := sum(one.filtered for one in done):
        text += f"; {filtered:,} filtered by rules"
    if rejected := sum(one.rejected for one in done):
        text += f"; {rejected:,} rejected by it"
    return f"{text}."
