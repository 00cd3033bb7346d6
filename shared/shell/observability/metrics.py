"""What a worker counts; served at `/metrics` in Prometheus' text format."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from importlib.metadata import version

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from shared.shell.observability.progress import Progress
from shared.shell.ports.attention import Attention

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
UNKNOWN = math.nan
"""What a gauge says whose value cannot be read at the moment."""


TABLES = (
    ("outbox", "outbox_rows", "Records waiting for the relay."),
    ("outbox_age_seconds", "outbox_age_seconds", "Age of the oldest record waiting for the relay."),
    ("timers", "timers", "Timers set."),
    ("timers_late", "timers_late", "… and have been due for more than a minute: they cannot be read."),
    ("parked", "parked", "Messages parked now."),
    ("waiting_for_newer", "waiting_for_newer", "Messages that wait for a newer build, which takes them up by itself."),
    ("undeliverable", "undeliverable", "Records that Kafka refuses, and those waiting behind them."),
    ("operations", "operations_open", "Calls to outside systems that are waiting or in progress."),
    ("operations_late", "operations_late", "… and have been due for more than a minute."),
    ("operations_in_doubt", "operations_in_doubt", "… and the outcome of the last attempt is unknown so far."),
    (
        *("destinations_paused", "destinations_paused"),
        "Outside systems that are paused because of a configuration error.",
    ),
)
"""Gauges of every service's tables: the name in `Store.gauge`, the metric's, and its text."""


class _Maker:
    """Makes metrics that have the labels of one worker."""

    def __init__(self, registry: CollectorRegistry, labels: Mapping[str, str]) -> None:
        self.registry, self.labels = registry, labels

    def counter(self, name: str, text: str) -> Counter:
        return Counter(f"orderbus_{name}", text, self.labels, registry=self.registry).labels(**self.labels)

    def gauge(self, name: str, text: str) -> Gauge:
        return Gauge(f"orderbus_{name}", text, self.labels, registry=self.registry).labels(**self.labels)

    def histogram(self, name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
        metric = Histogram(f"orderbus_{name}", text, self.labels, registry=self.registry, buckets=buckets)
        return metric.labels(**self.labels)


class Readiness(Collector):
    """Serves what `/ready` says: 1 for each part that is there, 0 for what is missing."""

    def __init__(self, labels: Mapping[str, str], parts: Sequence[str], missing: Callable[[], Sequence[str]]) -> None:
        self._labels, self._parts, self._missing = labels, parts, missing

    def collect(self) -> Iterator[GaugeMetricFamily]:
        text = "Whether a part that the worker needs is there, and makes progress."
        family = GaugeMetricFamily("orderbus_ready", text, labels=[*self._labels, "part"])
        missing = self._missing()
        for part in self._parts:
            family.add_metric([*self._labels.values(), part], float(part not in missing))
        yield family


class WaitsForStaff(Collector):
    """How much waits for staff, by kind, and for how long the oldest has waited."""

    def __init__(self, labels: Mapping[str, str]) -> None:
        self._labels = labels
        self._found: dict[tuple[str, str], tuple[float, float]] = {}
        """By kind, and whether it is daily work: how many, and when the oldest began."""

    def set(self, entries: Iterable[Attention]) -> None:
        self._found = {}
        for entry in entries:
            kind = entry.what, "yes" if entry.routine else "no"
            count, since = self._found.get(kind, (0.0, math.inf))
            self._found[kind] = count + entry.count, min(since, entry.since.timestamp())

    def forget(self) -> None:
        """It cannot be read."""
        self._found = dict.fromkeys(self._found, (UNKNOWN, UNKNOWN))

    def collect(self) -> Iterator[GaugeMetricFamily]:
        names = [*self._labels, "what", "routine"]
        counts = GaugeMetricFamily("orderbus_attention", "What waits for staff; routine: daily work.", labels=names)
        ages = GaugeMetricFamily("orderbus_attention_age_seconds", "… and for how long the oldest.", labels=names)
        for kind, (count, since) in sorted(self._found.items()):
            counts.add_metric([*self._labels.values(), *kind], count)
            ages.add_metric([*self._labels.values(), *kind], time.time() - since)
        yield from (counts, ages)


class Metrics:
    """One set per worker, with its own registry. Gauges of tables are the same at every worker of a service."""

    def __init__(
        self, service: str, worker: str, own: Iterable[tuple[str, str]] = (), progress: Progress | None = None
    ) -> None:
        """`own`: name and text of the gauges that the service adds."""
        self.registry = CollectorRegistry()
        self._labels = {"service": service, "worker": worker}
        new = _Maker(self.registry, self._labels)
        self._count_messages(new)
        self._measure_queues(new)
        self._count_calls(new)
        self._own = {name: new.gauge(name, text) for name, text in own}
        self.attention = WaitsForStaff(self._labels)
        self.registry.register(self.attention)
        self.forget_tables()
        self._worker = Info("orderbus_worker", "What runs here.", self._labels, registry=self.registry)
        self._worker.labels(**self._labels).info({"version": version("orderbus")})
        if progress is not None:
            self._watch(progress)

    def _count_messages(self, new: _Maker) -> None:
        self.handled = new.counter("handled", "Messages handled.")
        self.duplicates = new.counter("duplicates", "Messages that were handled before.")
        self.reworded = new.counter(
            "reworded", "Duplicates from our own services with another body: a database was restored."
        )
        self.refused = new.counter("refused", "Commands refused.")
        self.skipped = new.counter("skipped", "Records that this service does not handle.")
        self.unknown = new.counter(
            "unknown_events", "Events of a type or version that this build does not know; skipped."
        )
        self.unreadable = new.counter("unreadable_records", "Records that the Kafka client could not parse; skipped.")
        self.parked_total = new.counter("parked_messages", "Messages parked.")
        self.conflicts = new.counter("conflicts", "Batches repeated because another worker changed a row.")
        self.relayed = new.counter("relayed", "Records acknowledged by Kafka.")
        self.batch_size = new.histogram("batch_size", "Messages per transaction.", _SIZES)
        self.transaction_seconds = new.histogram("transaction_seconds", "Duration of a batch's transaction.", _SECONDS)

    def _measure_queues(self, new: _Maker) -> None:
        self.lag = new.gauge("lag", "Unread records of the assigned partitions, and of those that no worker reads.")
        self.lag_seconds = new.gauge("lag_seconds", "Age of the oldest record that is not handled yet.")
        self.topics_held_up = new.gauge(
            "topics_held_up", "Topics that accept no records, as seen by the worker that relays."
        )
        self._tables = {name: new.gauge(metric, text) for name, metric, text in TABLES}

    def _count_calls(self, new: _Maker) -> None:
        self.unresolved = new.counter("operations_unresolved", "Calls whose outcome stays unknown at the time limit.")
        self.destination_pauses = new.counter("destination_pauses", "Pauses of outside systems that this worker began.")
        self.open_circuits = new.gauge("circuits_open", "Silent outside systems that this worker does not call.")
        self._operations = Counter(
            "orderbus_operations",
            "Calls to outside systems by kind and outcome.",
            (*self._labels, "operation", "outcome"),
            registry=self.registry,
        )
        self._operation_seconds = Histogram(
            "orderbus_operation_seconds",
            "Duration of a call to an outside system.",
            (*self._labels, "operation"),
            registry=self.registry,
            buckets=_SECONDS,
        )
        self._known: dict[tuple[str, str], tuple[Counter, Histogram]] = {}

    def serve_ready(self, parts: Sequence[str], missing: Callable[[], Sequence[str]]) -> None:
        """Serve what is missing of these parts."""
        self.registry.register(Readiness(self._labels, parts, missing))

    def watch_process(self) -> None:
        """Serve this process's memory, CPU time and open files as well."""
        ProcessCollector(registry=self.registry)

    def _watch(self, progress: Progress) -> None:
        """Serve for each part how long work has waited for it without progress."""
        text = "Seconds for which work has waited for a part without progress."
        ages = Gauge("orderbus_progress_age_seconds", text, (*self._labels, "part"), registry=self.registry)
        for part in progress.parts:
            ages.labels(**self._labels, part=part).set_function(partial(progress.age, part))

    def set_tables(self, sizes: Mapping[str, float]) -> None:
        """What `Store.gauge` says."""
        for name, gauge in self._tables.items():
            gauge.set(sizes[name])

    def forget_tables(self) -> None:
        """The tables cannot be read: their gauges say so instead of keeping the last values."""
        for gauge in (*self._tables.values(), *self._own.values()):
            gauge.set(UNKNOWN)
        self.attention.forget()

    def set_own(self, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._own[name].set(value)

    def operation(self, kind: str, outcome: str, seconds: float) -> None:
        if (kind, outcome) not in self._known:  # looking labels up takes longer than counting
            self._known[kind, outcome] = (
                self._operations.labels(**self._labels, operation=kind, outcome=outcome),
                self._operation_seconds.labels(**self._labels, operation=kind),
            )
        count, lengths = self._known[kind, outcome]
        count.inc()
        lengths.observe(seconds)
