"""What a worker counts; served at `/metrics` in Prometheus' text format."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from importlib.metadata import version

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector

from shared.shell.observability.progress import PARTS, Progress

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


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
        self.outbox = new.gauge("outbox_rows", "Records waiting for the relay.")
        self.outbox_age = new.gauge("outbox_age_seconds", "Age of the oldest record waiting for the relay.")
        self.timers = new.gauge("timers", "Timers set.")
        self.late_timers = new.gauge("timers_late", "… and have been due for more than a minute: they cannot be read.")
        self.parked = new.gauge("parked", "Messages parked now.")
        self.waiting_for_newer = new.gauge(
            "waiting_for_newer", "Messages that wait for a newer build, which takes them up by itself."
        )
        self.undeliverable = new.gauge("undeliverable", "Records that Kafka refuses, and those waiting behind them.")
        self.topics_held_up = new.gauge(
            "topics_held_up", "Topics that accept no records, as seen by the worker that relays."
        )

    def _count_calls(self, new: _Maker) -> None:
        self.open_operations = new.gauge("operations_open", "Calls to outside systems that are waiting or in progress.")
        self.late_operations = new.gauge("operations_late", "… and have been due for more than a minute.")
        self.operations_in_doubt = new.gauge(
            "operations_in_doubt", "… and the outcome of the last attempt is unknown so far."
        )
        self.unresolved = new.counter("operations_unresolved", "Calls whose outcome stays unknown at the time limit.")
        self.paused_destinations = new.gauge(
            "destinations_paused", "Outside systems that are paused because of a configuration error."
        )
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

    def watch_process(self) -> None:
        """Serve this process's memory, CPU time and open files as well."""
        ProcessCollector(registry=self.registry)

    def _watch(self, progress: Progress) -> None:
        """Serve for each part how long work has waited for it without progress."""
        text = "Seconds for which work has waited for a part without progress."
        ages = Gauge("orderbus_progress_age_seconds", text, (*self._labels, "part"), registry=self.registry)
        for part in PARTS:
            ages.labels(**self._labels, part=part).set_function(partial(progress.age, part))

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
