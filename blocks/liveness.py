"""Whether the runs of a source work, judged from what they leave in the store. No run has to work for that.

Every run writes its source's state, and renews its claims while it reads. A source of which neither has changed for
more than two ticks is not running. Pure: `blocks.store.run_signs` reads the signs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from whenever import Instant

from blocks import clock
from blocks.command_line import command_line
from blocks.config import alert_thresholds
from blocks.health import ERROR, NOT_RUNNING, WARNING, Condition, tracker_of

if TYPE_CHECKING:
    from collections.abc import Iterator

RUNS = "runs"
"""The tracker of what concerns a source's runs."""
LAG = "lag"

TICK_NS = 300 * 10**9
SILENT_NS = 2 * TICK_NS + 120 * 10**9
"""Two missed ticks, and what a busy machine needs to start a run."""
GRAVE_NS = 3600 * 10**9
CLOCK_NS = 240 * 10**9
"""How far in the future a time may lie and still count: other machines' clocks differ."""

WORKS = "The runs of this source work again."
STOPPED = "No run of this source is due: it was stopped."
FINAL = "No run of this source is due: it is in error until its configuration changes."


@dataclass(frozen=True, slots=True)
class StreamSigns:
    """What runs have left of one API. Times are nanoseconds since 1970.

    `renewed_ns`: when a run last renewed its claim. `waits_until_ns`: the run that has it waits for its next attempt
    until then. `in_error`: the API is retried or stopped.
    """

    api: str
    renewed_ns: int | None = None
    waits_until_ns: int | None = None
    progress_ns: int | None = None
    drained_ns: int | None = None
    error_ns: int | None = None
    in_error: bool = False
    stopped: bool = False


@dataclass(frozen=True, slots=True)
class Signs:
    """What runs have left of one source. `due_ns`: since when runs are due, as since it was applied or started."""

    source_id: str
    name: str
    due_ns: int
    state: str
    state_ns: int | None
    lag_after: str | None
    paused: bool
    streams: tuple[StreamSigns, ...]

    @property
    def is_final(self) -> bool:
        """True if no request is made for it until its configuration changes."""
        stopped = bool(self.streams) and all(stream.stopped for stream in self.streams)
        return stopped or self.state == "ThirdPartyConfigError"

    @property
    def has_run(self) -> bool:
        return self.state_ns is not None or any(stream.drained_ns or stream.progress_ns for stream in self.streams)

    def seen_ns(self, now_ns: int) -> int | None:
        """When a run last gave a sign of life; None where none did, or the clock was set back since."""
        found = [self.state_ns, *(time_ns for stream in self.streams for time_ns in _times(stream, now_ns))]
        return max((ns for ns in found if ns is not None and ns <= now_ns + CLOCK_NS), default=None)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is so of a source at a time, and what is not; what is in neither cannot be judged now."""

    signs: Signs
    active: tuple[Condition, ...] = ()
    ended: tuple[Condition, ...] = ()

    @property
    def is_running(self) -> bool:
        return all(condition.tracker != RUNS for condition in self.active)


def judge(signs: Signs, now_ns: int, *, watched_ns: int | None = None) -> Judgement:
    """Judge a source's runs, and how long ago each of its APIs was read to its end.

    `watched_ns`: since when runs could begin, as since `up` was started or the machine woke: what they have missed
    before is no sign that something is wrong now. None where that is not known.
    """
    if signs.paused or signs.is_final:
        return Judgement(signs, ended=(_over(RUNS, STOPPED if signs.paused else FINAL),))
    lag = [_lag(signs, stream, now_ns, watched_ns) for stream in signs.streams]
    judged = [one for one in (_runs(signs, now_ns, watched_ns), *lag) if one is not None]
    return Judgement(
        signs,
        active=tuple(condition for condition in judged if condition.name != "Recovered"),
        ended=tuple(condition for condition in judged if condition.name == "Recovered"),
    )


def lag_condition(api: str, bound_ns: int) -> Condition:
    """The condition of an API that was not read to its end for longer than `bound_ns`."""
    return Condition(
        tracker_of(LAG, api),
        "Lag",
        WARNING,
        f"{api} was not read to its end for more than {clock.format_span(bound_ns)}.",
        api,
        hint="Look at the runs' notes: a server that always has more, a run that reads for long, or too little room. "
        "`onepassword-source status NAME` shows the last one.",
    )


def _times(stream: StreamSigns, now_ns: int) -> Iterator[int | None]:
    yield from (stream.progress_ns, stream.drained_ns, stream.error_ns, stream.renewed_ns)
    if stream.waits_until_ns is not None and (stream.renewed_ns or 0) <= now_ns + CLOCK_NS:
        yield min(stream.waits_until_ns, now_ns)


def _runs(signs: Signs, now_ns: int, watched_ns: int | None) -> Condition | None:
    seen_ns = signs.seen_ns(now_ns)
    if seen_ns is not None and now_ns - seen_ns <= SILENT_NS:
        return _over(RUNS, WORKS)
    if signs.has_run and seen_ns is None and watched_ns is None:
        return None  # the clock was set back, so it is not known when it ran
    since_ns = _since(signs, seen_ns, now_ns)
    waiting_ns = now_ns - max(since_ns or 0, watched_ns or 0)
    # Where nothing has ever run, and nothing shows that something should: a person may want to start `up` later.
    bound_ns = GRAVE_NS if not signs.has_run and watched_ns is None else SILENT_NS
    return _not_running(signs, since_ns, now_ns, waiting_ns) if waiting_ns > bound_ns else None


def _since(signs: Signs, seen_ns: int | None, now_ns: int) -> int | None:
    known = [ns for ns in (seen_ns, signs.due_ns) if ns is not None and ns <= now_ns + CLOCK_NS]
    if signs.has_run and seen_ns is None:
        return None
    return max(known, default=None)


def _not_running(signs: Signs, since_ns: int | None, now_ns: int, waiting_ns: int) -> Condition:
    silent_ns = waiting_ns if since_ns is None else now_ns - since_ns
    severity = ERROR if silent_ns > GRAVE_NS else WARNING
    since = "" if since_ns is None else f" since {_second(since_ns)}"
    happened = f"No run of this source has {'worked' if signs.has_run else 'begun'}{since}"
    return Condition(
        RUNS,
        NOT_RUNNING,
        severity,
        f"{happened}, and one is due every five minutes. Nothing is lost while 1Password keeps it (120 days): it is "
        "collected when runs work again.",
        value=severity,
        error_code="not-running",
        hint="Start `onepassword-source up`, or look at its terminal where it runs; "
        f"`{command_line('check', signs.name)}` shows what is wrong.",
    )


def _lag(signs: Signs, stream: StreamSigns, now_ns: int, watched_ns: int | None) -> Condition | None:
    """An API in error is not late: it is in error."""
    bound_ns = _lag_bound(signs.lag_after)
    if stream.in_error or stream.drained_ns is None or stream.drained_ns > now_ns + CLOCK_NS:
        return None
    if bound_ns is None or now_ns - stream.drained_ns <= bound_ns:
        return _over(tracker_of(LAG, stream.api), f"{stream.api} is read to its end again.", stream.api)
    since_ns = max(stream.drained_ns, min(signs.due_ns, now_ns), watched_ns or 0)
    return lag_condition(stream.api, bound_ns) if now_ns - since_ns > bound_ns else None


def _lag_bound(text: str | None) -> int | None:
    try:
        return alert_thresholds.lag_ns(text)
    except ValueError:  # saved in the block past all checks; the next run reports it
        return alert_thresholds.lag_ns(None)


def _second(ns: int) -> str:
    return Instant.from_timestamp(ns, unit="nanosecond").format_iso(unit="second")


def _over(tracker: str, sentence: str, api: str | None = None) -> Condition:
    return Condition(tracker, "Recovered", WARNING, sentence, api)
