"""`status --format prometheus`: the text format 0.0.4, for a scraper or node_exporter's textfile collector."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

import typer
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily

from blocks.store.source_health import STATES, health

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from prometheus_client.core import Metric

    from blocks.store.forwarding.forward_status import PairStatus, PositionStatus
    from blocks.store.source_status import SourceStatus, StreamStatus
    from deployments.up_health import UpHealth

    Value = Callable[[StreamStatus], float | None]
    Measure = Callable[[PositionStatus], float | None]

PREFIX = "onepassword_source_"


def print_metrics(sources: Sequence[SourceStatus], forwards: Sequence[PairStatus] = ()) -> None:
    typer.echo(render(sources, forwards), nl=False)


def render(sources: Sequence[SourceStatus], forwards: Sequence[PairStatus] = ()) -> bytes:
    """The metrics of the sources, and of the SIEMs that they are forwarded to, in UTF-8."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_SourcesCollector(sources, forwards))
    return generate_latest(registry)


def render_up(health: UpHealth | None, *, store_answers: bool) -> bytes:
    """The metrics of `up` itself, as its watchdog saw it last, in UTF-8."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_UpCollector(health, store_answers=store_answers))
    return generate_latest(registry)


class _UpCollector:
    """Another collector in Prometheus's sense."""

    def __init__(self, found: UpHealth | None, *, store_answers: bool) -> None:
        self._found = found
        self._store_answers = store_answers

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterator[Metric]:
        found = self._found
        healthy = found is not None and found.is_fresh and found.healthy
        help_text = "1 if the server, the worker, the store and all runs of `up` work, as of the last minute."
        yield GaugeMetricFamily(PREFIX + "up_healthy", help_text, healthy)
        help_text = "1 if the store gave the metrics of its sources in time."
        yield GaugeMetricFamily(PREFIX + "up_store_answers", help_text, self._store_answers)
        if found is None:
            return
        yield GaugeMetricFamily(PREFIX + "up_last_round_timestamp_seconds", "When `up` was last looked at.", found.time)
        yield GaugeMetricFamily(PREFIX + "up_started_timestamp_seconds", "When `up` was started.", found.started)
        trouble = _gauge("up_trouble", "1 for each thing of `up` that does not work.", "what")
        for one in found.troubles:
            trouble.add_metric((one.what,), 1)
        yield trouble
        name = PREFIX + "up_restarts"
        restarts = CounterMetricFamily(name, "How often `up` started it again.", labels=("process",))
        restarts.add_metric(("server",), found.server_restarts)
        restarts.add_metric(("worker",), found.worker_restarts)
        yield restarts


class _SourcesCollector:
    """A collector in Prometheus's sense."""

    def __init__(self, sources: Sequence[SourceStatus], forwards: Sequence[PairStatus]) -> None:
        self._sources = sources
        self._forwards = forwards

    def describe(self) -> Iterable[Metric]:
        return ()  # the registry calls it once, at registration

    def collect(self) -> Iterator[Metric]:
        yield InfoMetricFamily(PREFIX + "build", "The version of this program.", {"version": _version()})
        yield from _source_metrics(self._sources)
        for make, name, help_text, value in _API_METRICS:
            family = make(PREFIX + name, help_text, labels=("source", "api"))
            for source in self._sources:
                for stream in source.streams:
                    _add(family, (source.name, stream.api), value(stream))
            yield family
        for make, name, help_text, measure in _FORWARD_METRICS if self._forwards else ():
            family = make(PREFIX + name, help_text, labels=("source", "siem", "api"))
            for forward in self._forwards:
                for position in forward.positions:
                    _add(family, (forward.source, forward.siem, position.api), measure(position))
            yield family


def _source_metrics(sources: Sequence[SourceStatus]) -> Iterator[Metric]:
    healthy = _gauge("healthy", "1 if all is well, 0 if not (onepassword_source_state says how).", "source")
    state = _gauge("state", "1 for the current state of the source, 0 for the others.", "source", "state")
    run = _gauge("last_run_timestamp_seconds", "When a run of the source last reported its state.", "source")
    names = ("source", "tracker", "name", "severity")
    condition = _gauge("condition", "1 for each open condition of the source.", *names)
    since = _gauge("condition_since_timestamp_seconds", "When it began.", *names)
    for source in sources:
        how = health(source)
        healthy.add_metric((source.name,), how == "healthy")
        for one in STATES:
            state.add_metric((source.name, one.replace(" ", "_")), how == one)
        _add(run, (source.name,), _seconds(source.state_ns))
        for opened in source.open:
            labels = (source.name, opened.tracker, opened.name, opened.severity)
            condition.add_metric(labels, 1)
            since.add_metric(labels, opened.since_ns / 1e9)
    yield from (healthy, state, run, condition, since)


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
    (CounterMetricFamily, "events", "Events stored so far, each once.", lambda one: one.events + one.pruned),
    (CounterMetricFamily, "pruned", "Events removed since they were old enough.", lambda one: one.pruned),
    (GaugeMetricFamily, "quarantined", "Items that cannot be stored as events.", lambda one: one.quarantined),
    (CounterMetricFamily, "late", "Events found by reconcile that the cursor brought later.", lambda one: one.late),
    (CounterMetricFamily, "missed", "Events found by reconcile that were missed.", lambda one: one.missed),
    (CounterMetricFamily, "changed", "Bodies that 1Password has changed since.", lambda one: one.changed),
    (GaugeMetricFamily, "in_future", "Events whose time is in the future.", lambda one: one.in_future),
    (
        GaugeMetricFamily,
        "collector_lag_seconds",
        "Time since the API was last read to its end.",
        lambda one: _seconds(one.collector_lag_ns),
    ),
    (
        GaugeMetricFamily,
        "event_lag_seconds",
        "How old the events of the last page were when they came (median).",
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
        "1 if the API is in error: no request is made until the configuration changes.",
        lambda one: one.stopped,
    ),
)
_FORWARD_METRICS: tuple[tuple[type[CounterMetricFamily | GaugeMetricFamily], str, str, Measure], ...] = (
    (CounterMetricFamily, "forward_sent", "Events that the SIEM acknowledged.", lambda one: one.sent),
    (
        CounterMetricFamily,
        "forward_filtered",
        "Events that a privacy rule kept from the SIEM.",
        lambda one: one.filtered,
    ),
    (GaugeMetricFamily, "forward_rejected", "Events that the SIEM rejected.", lambda one: one.rejected),
    (GaugeMetricFamily, "forward_waiting", "Events that wait to be sent.", lambda one: one.waiting),
    (
        GaugeMetricFamily,
        "forward_oldest_waiting_timestamp_seconds",
        "When the first waiting event was received. Absent if none waits.",
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
        "1 if nothing is sent until the configuration changes or a person resumes it.",
        lambda one: one.stopped,
    ),
)
