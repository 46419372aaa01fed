"""The watchdog of `up`: detects what does not work, reports it, and has it restarted, with growing pauses.

It checks in rounds, in a thread of its own, so that nothing that hangs blocks the loop of `up`, which reads the
watchdog's events. It measures with the monotonic clock. If that and the wall clock differ, the machine has slept or its
clock was set: then everything that it watches gets a grace period.
"""

from __future__ import annotations

import queue
import threading
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, Protocol, TypeVar

from blocks import clock as wall_clock
from blocks.errors import SourceError
from deployments import up_health
from deployments.bounded_call import BoundedCall
from deployments.one_machine.probes import ProbeError, RunActivity
from deployments.up_health import Trouble, UpHealth

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from deployments.one_machine.probes import Probes

T = TypeVar("T")
Process = Literal["server", "worker"]
SERVER: Process = "server"
WORKER: Process = "worker"
STORE, RUNS, DISK = "store", "runs", "disk"
PROBLEM, RECOVERED = "problem", "recovered"

ROUND_SECONDS, MIN_PAUSE_SECONDS = 15.0, 1.0
"""From the start of one round to the start of the next, and at least between the two."""
SERVER_LIMIT, WORKER_LIMIT, RUNS_LIMIT, DISK_LIMIT = 12.0, 5.0, 25.0, 5.0
"""How long a probe may take in a round. The server's own limit is 10 s; SQLite may have another writer."""
FAILING_SECONDS = 45.0
"""A busy server may miss one probe. With rounds of 15 to 25 s, this reports a failure within two minutes."""
RESTART_SECONDS = 100.0
POLL_SECONDS = 60.0
"""The worker polls every 5 s."""
POLL_RESTART_SECONDS = 90.0
STALLED_SECONDS = 300.0 + 120.0
"""Without a sign of life of any run: one tick, and what a busy machine needs to start the next run."""
START_SECONDS = 180.0
"""How long a process may take to start on a slow machine."""
WAKE_SECONDS = 60.0
"""The grace period of everything after the machine has slept."""
JUMP_SECONDS = 30.0
STARVED_SECONDS = 120.0
"""A watchdog that has not run for this long cannot judge others: the machine stood still."""
STEADY_SECONDS = 600.0
NAMED = 5

GOES_ON = "No event is lost: what is due is collected when it works again."


@dataclass(frozen=True, slots=True)
class ClockReading:
    """`wall` is in seconds since 1970. `steady` is in seconds that no clock change moves and that stop during sleep."""

    wall: float
    steady: float

    @classmethod
    def now(cls) -> ClockReading:
        return cls(wall_clock.now(), time.monotonic())


@dataclass(frozen=True, slots=True)
class TerminalLine:
    """A line for the terminal. `what` is the part that a problem begins or ends in; `event` says which of the two."""

    text: str
    event: str = "note"
    what: str | None = None


@dataclass(frozen=True, slots=True)
class Restart:
    """Kill this process and restart it, after the pause of `Child.postpone`."""

    process: Process
    why: str


@dataclass(frozen=True, slots=True)
class ClockSetBack:
    """The wall clock was set back. The Prefect server cannot handle that and must restart."""

    seconds: float


Event = TerminalLine | Restart | ClockSetBack


class Listener(Protocol):
    """Is informed after each round. It must not block."""

    def after_round(self, health: UpHealth, *, all_good: bool) -> Sequence[str]:
        """`all_good` is True if every probe of this round succeeded. Returns lines for the terminal."""


@dataclass
class _Backoff:
    """Restarts that do not help become rarer."""

    first: float
    longest: float = 3600.0
    _delay: float = 0.0
    _next: float = 0.0

    def is_due(self, steady: float) -> bool:
        return steady >= self._next

    def record_restart(self, steady: float) -> None:
        self._delay = min(self._delay * 2, self.longest) if self._delay else self.first
        self._next = steady + self._delay

    def reset(self) -> None:
        self._delay = self._next = 0.0


@dataclass
class _Component:
    """Something that is watched: since when it fails (steady), and until when it is not judged."""

    what: str
    pauses: _Backoff
    failing_since: float | None = None
    good_since: float | None = None
    grace_until: float = 0.0
    why: str = ""

    def record_success(self, now: ClockReading) -> None:
        self.failing_since, self.why = None, ""
        self.good_since = now.steady if self.good_since is None else self.good_since
        if now.steady - self.good_since > STEADY_SECONDS:
            self.pauses.reset()

    def record_failure(self, now: ClockReading, why: str) -> None:
        self.good_since, self.why = None, why
        if now.steady < self.grace_until:
            self.failing_since = None
        elif self.failing_since is None:
            self.failing_since = now.steady

    def grant_grace(self, until: float) -> None:
        self.grace_until, self.failing_since = max(until, self.grace_until), None

    def failing_for(self, now: ClockReading) -> float:
        return 0.0 if self.failing_since is None else now.steady - self.failing_since


@dataclass
class _State:
    started: float
    last: ClockReading
    server: _Component = field(default_factory=lambda: _Component(SERVER, _Backoff(RESTART_SECONDS)))
    worker: _Component = field(default_factory=lambda: _Component(WORKER, _Backoff(RESTART_SECONDS)))
    store: _Component = field(default_factory=lambda: _Component(STORE, _Backoff(RESTART_SECONDS)))
    stalls: _Backoff = field(default_factory=lambda: _Backoff(STALLED_SECONDS))
    starts: dict[Process, int] = field(default_factory=dict)
    poll: int | None = None
    forget_poll: bool = True
    watched_ns: int | None = None
    troubles: dict[str, Trouble] = field(default_factory=dict)
    warning: Trouble | None = None
    all_good: bool = False
    cannot_write: bool = False

    def move_back(self, seconds: float) -> None:
        """Keep the age of past events after the clock was set back."""
        self.started -= seconds
        moved = (replace(trouble, since=trouble.since - seconds) for trouble in self.troubles.values())
        self.troubles = {trouble.what: trouble for trouble in moved}


class Watchdog:
    """Watches from `start` to `stop`. `started` and `drain_events` are for the loop of `up` and never block.

    It watches only what was `started`. `path` is the file that holds the health of `up`.
    """

    def __init__(
        self,
        probes: Probes,
        path: Path,
        *,
        listeners: Sequence[Listener] = (),
        clock: Callable[[], ClockReading] = ClockReading.now,
    ) -> None:
        self._clock = clock
        self._path = path
        self._listeners = tuple(listeners)
        self._server = BoundedCall(probes.server)
        self._worker = BoundedCall(probes.worker)
        self._runs = BoundedCall(lambda: probes.runs(self._state.watched_ns or 0))
        self._disk = BoundedCall(probes.disk)
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._begun: queue.SimpleQueue[Process] = queue.SimpleQueue()
        self._stopped = threading.Event()
        now = clock()
        self._state = _State(started=now.wall, last=now)

    def start(self) -> None:
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    def stop(self) -> None:
        """Publish no more events. Removes the file, so that it does not look like a running `up`."""
        self._stopped.set()
        self._path.unlink(missing_ok=True)

    def started(self, process: Process) -> None:
        """A process was started or restarted. It gets a grace period."""
        self._begun.put(process)

    def drain_events(self) -> list[Event]:
        """The events since the last call, oldest first."""
        found: list[Event] = []
        while True:
            try:
                found.append(self._events.get_nowait())
            except queue.Empty:
                return found

    def check_once(self) -> UpHealth:
        """One round: probe, judge, report. For the watchdog's own thread and for tests."""
        now, state = self._clock(), self._state
        self._record_starts(now)
        self._grant_grace_after_sleep(now)
        state.all_good = True
        for probe in self._probed():
            probe.start()
        self._disk.start()
        if SERVER in state.starts:
            self._judge_server(now)
        if WORKER in state.starts:
            self._judge_worker(now)
            self._judge_runs(now)
        self._judge_disk(now)
        return self._report(now)

    def _watch(self) -> None:
        failure = ""
        while not self._stopped.is_set():
            before, failure_before = time.monotonic(), failure
            try:
                self.check_once()
                failure = ""
            except Exception as error:  # noqa: BLE001 - an unexpected error must not end the watchdog
                failure = type(error).__name__
            if failure and failure != failure_before:
                self._events.put(TerminalLine(f"The watchdog itself failed ({failure}); please report it."))
            self._stopped.wait(max(ROUND_SECONDS - (time.monotonic() - before), MIN_PAUSE_SECONDS))

    def _probed(self) -> list[BoundedCall[None] | BoundedCall[int | None] | BoundedCall[RunActivity]]:
        found: list[BoundedCall[None] | BoundedCall[int | None] | BoundedCall[RunActivity]] = []
        found += [self._server] if SERVER in self._state.starts else []
        return [*found, self._worker, self._runs] if WORKER in self._state.starts else found

    def _record_starts(self, now: ClockReading) -> None:
        state = self._state
        while not self._begun.empty():
            process = self._begun.get()
            state.starts[process] = state.starts.get(process, 0) + 1
            vital = state.server if process == SERVER else state.worker
            vital.grant_grace(now.steady + START_SECONDS)
            if process == WORKER:
                state.forget_poll = True  # the file belongs to the worker before
                state.watched_ns = int(now.wall * 1e9) if state.watched_ns is None else state.watched_ns

    def _grant_grace_after_sleep(self, now: ClockReading) -> None:
        state = self._state
        steady, wall = now.steady - state.last.steady, now.wall - state.last.wall
        state.last = now
        if abs(wall - steady) < JUMP_SECONDS and steady < STARVED_SECONDS:
            return
        self._record_jump(wall - steady, now)
        for vital in (state.server, state.worker, state.store):
            vital.grant_grace(now.steady + WAKE_SECONDS)
        if state.watched_ns is not None:
            state.watched_ns = int(now.wall * 1e9)

    def _record_jump(self, seconds: float, now: ClockReading) -> None:
        span = wall_clock.format_span(int(abs(seconds) * 1e9))
        if seconds >= JUMP_SECONDS:
            self._events.put(
                TerminalLine(f"{_time(now)} The clock jumped {span} ahead: the machine slept, or the clock was set.")
            )
        elif seconds <= -JUMP_SECONDS:
            self._events.put(TerminalLine(f"{_time(now)} The clock was set back by {span}."))
            if SERVER in self._state.starts:
                self._events.put(ClockSetBack(-seconds))
            self._state.move_back(-seconds)

    def _judge_server(self, now: ClockReading) -> None:
        vital = self._state.server
        try:
            self._server.result(SERVER_LIMIT)
        except (TimeoutError, ProbeError) as error:
            self._record_failure(vital, now, str(error) or f"no answer within {SERVER_LIMIT:.0f} s")
        else:
            vital.grace_until = 0.0
            self._record_success(vital, now, "The Prefect server answers again.")
        if vital.failing_for(now) >= FAILING_SECONDS:
            text = f"The Prefect server does not answer ({vital.why}), so no run begins. {GOES_ON}"
            self._open_trouble(SERVER, text, now, vital.failing_for(now))
        self._restart(vital, now, RESTART_SECONDS, "it does not answer")

    def _judge_worker(self, now: ClockReading) -> None:
        """A worker that cannot poll because the server does not answer is not to blame."""
        state, vital = self._state, self._state.worker
        try:
            poll = self._worker.result(WORKER_LIMIT)
        except (TimeoutError, OSError):
            poll = state.poll
        if state.forget_poll:
            state.poll, state.forget_poll = poll, False
        if poll is not None and poll != state.poll:
            state.poll, vital.grace_until = poll, 0.0
            self._record_success(vital, now, "The worker polls for runs again.")
            return
        if state.server.why:
            vital.grant_grace(now.steady + POLL_SECONDS)
        self._record_failure(vital, now, "it does not poll for runs", all_good=vital.failing_for(now) < POLL_SECONDS)
        if vital.failing_for(now) >= POLL_SECONDS:
            text = f"The worker does not poll for runs any more, so none begins. {GOES_ON}"
            self._open_trouble(WORKER, text, now, vital.failing_for(now))
        self._restart(vital, now, POLL_RESTART_SECONDS, vital.why)

    def _judge_runs(self, now: ClockReading) -> None:
        vital = self._state.store
        try:
            seen = self._runs.result(RUNS_LIMIT)
        except TimeoutError:
            self._record_failure(vital, now, f"no answer within {RUNS_LIMIT:.0f} s")
        except SourceError as error:
            self._record_failure(vital, now, error.message)
        else:
            self._record_success(vital, now, "The store answers again.")
            self._judge_activity(seen, now)
        if vital.failing_for(now) >= FAILING_SECONDS:
            does = (
                "No event is stored until it answers. 1Password keeps events for 120 days, so none is lost until then."
            )
            text = f"The store cannot be used: {vital.why.rstrip('.')}. {does} Check database and disk."
            self._open_trouble(STORE, text, now, vital.failing_for(now))

    def _judge_disk(self, now: ClockReading) -> None:
        """A disk that fills is a warning: everything still works, and a restart would not help."""
        state = self._state
        try:
            text = self._disk.result(DISK_LIMIT)
        except (TimeoutError, OSError):  # a disk that hangs stops the store or the runs, which are judged themselves
            return
        if text is None:
            if state.warning is not None:
                line = f"{_time(now)} Over: There is room on the disk again."
                self._events.put(TerminalLine(line, RECOVERED, DISK))
            state.warning = None
            return
        if state.warning is None:
            self._events.put(TerminalLine(f"{_time(now)} Warning: {text}", PROBLEM, DISK))
        state.warning = Trouble(DISK, text, now.wall if state.warning is None else state.warning.since)

    def _judge_activity(self, seen: RunActivity, now: ClockReading) -> None:
        state = self._state
        idle = now.wall - max(seen.newest_ns or 0, state.watched_ns or 0) / 1e9
        stalled = seen.due > 0 and idle > STALLED_SECONDS
        if not stalled and not seen.not_running:
            self._close_trouble(RUNS, "Runs work again.", now)
            return
        self._open_trouble(
            RUNS, f"{_stalled_text(seen, idle if stalled else None)} {GOES_ON}", now, idle if stalled else 0.0
        )
        if stalled and not {SERVER, WORKER} & state.troubles.keys() and state.stalls.is_due(now.steady):
            state.stalls.record_restart(now.steady)
            self._events.put(Restart(WORKER, "no run works"))

    def _record_success(self, vital: _Component, now: ClockReading, text: str) -> None:
        vital.record_success(now)
        self._close_trouble(vital.what, text, now)

    def _record_failure(self, vital: _Component, now: ClockReading, why: str, *, all_good: bool = False) -> None:
        vital.record_failure(now, why)
        self._state.all_good &= all_good

    def _restart(self, vital: _Component, now: ClockReading, after: float, why: str) -> None:
        if vital.failing_for(now) >= after and vital.pauses.is_due(now.steady):
            vital.pauses.record_restart(now.steady)
            vital.grant_grace(now.steady + POLL_SECONDS)
            self._events.put(Restart(SERVER if vital.what == SERVER else WORKER, why))

    def _open_trouble(self, what: str, text: str, now: ClockReading, seconds: float) -> None:
        """`seconds`: how long the trouble has lasted; only the first call of a trouble counts."""
        if what not in self._state.troubles:
            self._events.put(TerminalLine(f"{_time(now)} Trouble: {text}", PROBLEM, what))
        since = self._state.troubles[what].since if what in self._state.troubles else now.wall - seconds
        self._state.troubles[what] = Trouble(what, text, since)

    def _close_trouble(self, what: str, text: str, now: ClockReading) -> None:
        if self._state.troubles.pop(what, None) is not None:
            self._events.put(TerminalLine(f"{_time(now)} Over: {text}", RECOVERED, what))

    def _report(self, now: ClockReading) -> UpHealth:
        state = self._state
        restarts = {process: max(number - 1, 0) for process, number in state.starts.items()}
        found = UpHealth(
            time=now.wall,
            healthy=not state.troubles and WORKER in state.starts,
            troubles=tuple(state.troubles.values()),
            started=state.started,
            server_restarts=restarts.get(SERVER, 0),
            worker_restarts=restarts.get(WORKER, 0),
            warnings=(state.warning,) if state.warning is not None else (),
        )
        if not self._stopped.is_set():
            self._write(found)
        for listener in self._listeners:
            for line in listener.after_round(found, all_good=found.healthy and state.all_good):
                self._events.put(TerminalLine(f"{_time(now)} {line}"))
        return found

    def _write(self, found: UpHealth) -> None:
        try:
            up_health.write(self._path, found)
        except OSError as error:
            if not self._state.cannot_write:
                self._events.put(
                    TerminalLine(f"{self._path} cannot be written ({error.strerror}), so /healthz says not healthy.")
                )
            self._state.cannot_write = True
        else:
            self._state.cannot_write = False


def _stalled_text(seen: RunActivity, idle: float | None) -> str:
    if idle is not None:
        return f"No run has worked for {wall_clock.format_span(int(idle * 1e9))}, and one is due every five minutes."
    names = ", ".join(seen.not_running[:NAMED])
    more = f" and {len(seen.not_running) - NAMED} more" if len(seen.not_running) > NAMED else ""
    return f"No run has worked for more than two ticks of {names}{more}."


def _time(now: ClockReading) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(now.wall))
