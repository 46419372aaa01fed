"""`status --format prometheus`: the text format 0.0.4, for a scraper or node_exporter's textfile collector."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

import typer
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily

from blocks.store.source_health import STATES, health
from deployments.up_health import METRICS_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from prometheus_client.core import Metric

    from blocks.store.forwarding.forward_status import PairStatus, PositionStatus
    from blocks.store.source_status import SourceStatus, StreamStatus
    from deployments.one_machine.store_measures import StoreMeasures
    from deployments.up_health import UpHealth

    Value = Callable[[StreamStatus], float | None]
    Measure = Callable[[PositionStatus], float | None]

PREFIX = "onepassword_source_"


def print_metrics(
    sources: Sequence[SourceStatus], forwards: Sequence[PairStatus] = (), store: StoreMeasures | None = None
) -> None:
    typer.echo(render(sources, forwards, store), nl=False)


def render(
    sources: Sequence[SourceStatus], forwards: Sequence[PairStatus] = (), store: StoreMeasures | None = None
) -> bytes:
    """The metrics of the sources, of the SIEMs that they are forwarded to, and of the store, in UTF-8."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(source_families(sources, forwards, store)))
    return generate_latest(registry)


def render_up(health: UpHealth | None, *, store_answers: bool) -> bytes:
    """The metrics of `up` itself, as its watchdog saw it last, in UTF-8."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(up_families(health, store_answers=store_answers)))
    return generate_latest(registry)


class _Collector:
    """A collector in Prometheus's sense."""

    def __init__(self, families: Iterator[Metric]) -> None:
        self._families = families

    def describe(self) -> Iterable[Metric]:
        return ()  # the registry calls it once, at registration

    def collect(self) -> Iterator[Metric]:
        return self._families


def up_families(health: UpHealth | None, *, store_answers: bool) -> Iterator[Metric]:
    """The metrics of `up`. Those that need a check of `up` have no sample without one."""
    healthy = health is not None and health.is_fresh and health.healthy
    help_text = "1 if the server, the worker, the store and all runs of `up` work, as of the last minute."
    yield GaugeMetricFamily(PREFIX + "up_healthy", help_text, healthy)
    help_text = f"1 if the store returned the metrics of its sources within {METRICS_SECONDS:g} s."
    yield GaugeMetricFamily(PREFIX + "up_store_answers", help_text, store_answers)
    last = _gauge("up_last_round_timestamp_seconds", "When `up` was last checked.")
    started = _gauge("up_started_timestamp_seconds", "When `up` was started.")
    trouble = _gauge(
        "up_trouble",
        "1 for `server`, `worker`, `store` or `runs` that does not work, and for a `disk` that fills.",
        "what",
    )
    help_text = "How often `up` restarted the `server` or the `worker`."
    restarts = CounterMetricFamily(PREFIX + "up_restarts", help_text, labels=("process",))
    if health is not None:
        last.add_metric((), health.time)
        started.add_metric((), health.started)
        for one in (*health.troubles, *health.warnings):
            trouble.add_metric((one.what,), 1)
        restarts.add_metric(("server",), health.server_restarts)
        restarts.add_metric(("worker",), health.worker_restarts)
    yield from (last, started, trouble, restarts)


def source_families(
    sources: Sequence[SourceStatus], forwards: Sequence[PairStatus] = (), store: StoreMeasures | None = None
) -> Iterator[Metric]:
    """The metrics of the sources, their SIEMs and the store. What is not known has no sample."""
    yield InfoMetricFamily(PREFIX + "build", "The version of this program.", {"version": _version()})
    yield from _source_metrics(sources)
    for make, name, help_text, value in _API_METRICS:
        family = make(PREFIX + name, help_text, labels=("source", "api"))
        for source in sources:
            for stream in source.streams:
                _add(family, (source.name, stream.api), value(stream))
        yield family
    for make, name, help_text, measure in _FORWARD_METRICS:
        family = make(PREFIX + name, help_text, labels=("source", "siem", "api"))
        for forward in forwards:
            for position in forward.positions:
                _add(family, (forward.source, forward.siem, position.api), measure(position))
        yield family
    yield from _store_metrics(store)


def _source_metrics(sources: Sequence[SourceStatus]) -> Iterator[Metric]:
    healthy = _gauge("healthy", "1 if the source is healthy, 0 if not; `state` has the reason.", "source")
    help_text = f"1 for the current health of the source, 0 for the others: {', '.join(map(_state_label, STATES))}."
    state = _gauge("state", help_text, "source", "state")
    run = _gauge("last_run_timestamp_seconds", "When a run of the source last reported its state.", "source")
    expires = _gauge("token_expires_timestamp_seconds", "When the token of the source expires.", "source")
    names = ("source", "tracker", "name", "severity")
    condition = _gauge("condition", "1 for each open condition of the source, named like its health event.", *names)
    since = _gauge("condition_since_timestamp_seconds", "When the open condition began.", *names)
    for source in sources:
        how = health(source)
        healthy.add_metric((source.name,), how == "healthy")
        for one in STATES:
            state.add_metric((source.name, _state_label(one)), how == one)
        _add(run, (source.name,), _seconds(source.state_ns))
        _add(expires, (source.name,), _seconds(source.token_expires_ns))
        for opened in source.open:
            labels = (source.name, opened.tracker, opened.name, opened.severity)
            condition.add_metric(labels, 1)
            since.add_metric(labels, opened.since_ns / 1e9)
    yield from (healthy, state, run, expires, condition, since)


def _store_metrics(store: StoreMeasures | None) -> Iterator[Metric]:
    size = _gauge("store_size_bytes", "The size of the store, with the write-ahead log of SQLite.")
    help_text = "Free space for the data directory and, on SQLite, for the store. PostgreSQL's disk is not visible."
    free = _gauge("disk_free_bytes", help_text, "directory")
    grows = _gauge("store_growth_bytes_per_day", "What the store grows by in a day, by the events of the last week.")
    help_text = "What the data directory and the store take, by part: `store`, `logs`, `Prefect's database`, …"
    used_by = _gauge("disk_used_bytes", help_text, "part")
    window = ("account", "window_seconds")
    used = _gauge("rate_limit_used", "Requests of the account that count in this window now.", *window)
    allowed = _gauge("rate_limit_allowed", "Requests that the account may make in this window.", *window)
    help_text = "Until when the account makes no requests, after a 429. Absent if it is not paused."
    paused = _gauge("rate_limit_paused_until_timestamp_seconds", help_text, "account")
    help_text = "When the last backup was made. Absent if none was ever made."
    backup = _gauge("last_backup_timestamp_seconds", help_text)
    if store is not None:
        size.add_metric((), store.size)
        grows.add_metric((), store.growth)
        for part in store.parts:
            used_by.add_metric((part.name,), part.size)
        _add(backup, (), _seconds(store.backup.time_ns) if store.backup else None)
        for directory, room in store.free:
            free.add_metric((str(directory),), room)
        for one in store.rate_limits:
            labels = (one.account, f"{one.window_seconds:g}")
            used.add_metric(labels, one.used)
            allowed.add_metric(labels, one.allowed)
        pauses = {one.account: one.paused_until_ns for one in store.rate_limits}
        for account, until_ns in pauses.items():
            _add(paused, (account,), _seconds(until_ns))
    yield from (size, grows, used_by, free, backup, used, allowed, paused)


def _state_label(state: str) -> str:
    return state.replace(" ", "_")


def _gauge(name: str, help_text: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(PREFIX + name, help_text, labels=labels)


def _add(family: CounterMetricFamily | GaugeMetricFamily, labels: tuple[str, ...], value: float | None) -> None:
    """What is not known has no sample."""
    if value is not None:
        family.add_metric(labels, value)


def _seconds(ns: int | None) -> float | None:
    return None if ns is None else ns / 1e9


def _version() -> str:
    return version("onepassword-source")


_API_METRICS: tuple[tuple[type[CounterMetricFamily | GaugeMetricFamily], str, str, Value], ...] = (
    (
        CounterMetricFamily,
        "events",
        "Events stored so far, each once, with those that were pruned.",
        lambda one: one.events + one.pruned,
    ),
    (CounterMetricFamily, "pruned", "Events removed by retention.", lambda one: one.pruned),
    (
        GaugeMetricFamily,
        "quarantined",
        "Items in quarantine now, because they cannot be stored as events.",
        lambda one: one.quarantined,
    ),
    (CounterMetricFamily, "late", "Events that reconcile found, and live collection read later.", lambda one: one.late),
    (
        CounterMetricFamily,
        "missed",
        "Events that reconcile found, and live collection never read.",
        lambda one: one.missed,
    ),
    (CounterMetricFamily, "changed", "Bodies that 1Password changed later.", lambda one: one.changed),
    (GaugeMetricFamily, "in_future", "Events whose time is in the future.", lambda one: one.in_future),
    (
        GaugeMetricFamily,
        "collector_lag_seconds",
        "Time since the last complete read of the API began: the delay of this program.",
        lambda one: _seconds(one.collector_lag_ns),
    ),
    (
        GaugeMetricFamily,
        "event_lag_seconds",
        "Median age of the events in the last page when they were received: the delay at 1Password.",
        lambda one: _seconds(one.lag_ns),
    ),
    (
        GaugeMetricFamily,
        "newest_event_timestamp_seconds",
        "Time of the newest event.",
        lambda one: _seconds(one.newest_ns),
    ),
    (
        GaugeMetricFamily,
        "last_success_timestamp_seconds",
        "When the last complete read of the API began.",
        lambda one: _seconds(one.drained_ns),
    ),
    (
        GaugeMetricFamily,
        "failing_since_timestamp_seconds",
        "When the API began to fail. Absent while it does not fail.",
        lambda one: _seconds(one.failing_since_ns),
    ),
    (
        GaugeMetricFamily,
        "stopped",
        "1 if the API is in error: no request is made until you change the configuration or restart the source.",
        lambda one: one.stopped,
    ),
)
_FORWARD_METRICS: tuple[tuple[type[CounterMetricFamily | GaugeMetricFamily], str, str, Measure], ...] = (
    (CounterMetricFamily, "forward_sent", "Events that the SIEM acknowledged.", lambda one: one.sent),
    (
        CounterMetricFamily,
        "forward_filtered",
        "Events that a privacy rule filtered.",
        lambda one: one.filtered,
    ),
    (
        GaugeMetricFamily,
        "forward_rejected",
        "Events that the SIEM rejected, and that were not sent again or discarded since.",
        lambda one: one.rejected,
    ),
    (GaugeMetricFamily, "forward_waiting", "Events that wait to be sent.", lambda one: one.waiting),
    (
        GaugeMetricFamily,
        "forward_oldest_waiting_timestamp_seconds",
        "When the oldest waiting event was received. Absent if none waits.",
        lambda one: _seconds(one.oldest_ns),
    ),
    (
        GaugeMetricFamily,
        "forward_failing_since_timestamp_seconds",
        "When forwarding began to fail. Absent while it does not fail.",
        lambda one: _seconds(one.failing_since_ns),
    ),
    (
        GaugeMetricFamily,
        "forward_stopped",
        "1 if nothing is sent until you change the configuration or resume it.",
        lambda one: one.stopped,
    ),
)
