"""What a worker counts; served at `/metrics` in Prometheus' text format."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from importlib.metadata import version

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector

from shared.shell.observability.progress import PARTS, Progress

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


class Metrics:
    """One set per worker, with its own registry. Gauges of tables are the same at every worker of a service."""

    def __init__(
        self, service: str, worker: str, own: Iterable[tuple[str, str]] = (), progress: Progress | None = None
    ) -> None:
        """`own`: name and text of the gauges that the service adds."""
        self.registry = CollectorRegistry()
        labels = {"service": service, "worker": worker}
        names = tuple(labels)

        def counter(name: str, text: str) -> Counter:
            return Counter(f"orderbus_{name}", text, names, registry=self.registry).labels(**labels)

        def gauge(name: str, text: str) -> Gauge:
            return Gauge(f"orderbus_{name}", text, names, registry=self.registry).labels(**labels)

        def histogram(name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
            metric = Histogram(f"orderbus_{name}", text, names, registry=self.registry, buckets=buckets)
            return metric.labels(**labels)

        self.handled = counter("handled", "Messages handled.")
        self.duplicates = counter("duplicates", "Messages that had been handled before.")
        self.reworded = counter(
            "reworded", "Duplicates from our own services with another body: a database was set back."
        )
        self.refused = counter("refused", "Commands refused.")
        self.skipped = counter("skipped", "Records of no interest to this service.")
        self.unreadable = counter("unreadable_records", "Records that the Kafka client could not parse; stepped over.")
        self.parked_total = counter("parked_messages", "Messages set aside.")
        self.conflicts = counter("conflicts", "Batches run again because another worker changed a row.")
        self.relayed = counter("relayed", "Records acknowledged by Kafka.")
        self.batch_size = histogram("batch_size", "Messages per transaction.", _SIZES)
        self.transaction_seconds = histogram("transaction_seconds", "Length of a batch's transaction.", _SECONDS)
        self.lag = gauge("lag", "Records of the assigned partitions still to be read.")
        self.outbox = gauge("outbox_rows", "Records waiting for the relay.")
        self.outbox_age = gauge("outbox_age_seconds", "Age of the oldest record waiting for the relay.")
        self.open_operations = gauge("operations_open", "Calls to the outside that are wanted or under way.")
        self.late_operations = gauge("operations_late", "… and have been due for more than a minute.")
        self.operations_in_doubt = gauge("operations_in_doubt", "… of whose last attempt nobody knows the outcome yet.")
        self.unresolved = counter("operations_unresolved", "Calls given up; nobody knows whether they were done.")
        self.paused_destinations = gauge(
            "destinations_paused", "Outside systems that are not called until what is wrong with our set-up is mended."
        )
        self.destination_pauses = counter("destination_pauses", "Pauses of outside systems that this worker began.")
        self.open_circuits = gauge("circuits_open", "Outside systems that this worker does not call: no answer.")
        self.timers = gauge("timers", "Timers set.")
        self.late_timers = gauge("timers_late", "… and have been due for more than a minute: they cannot be read.")
        self.parked = gauge("parked", "Messages parked now.")
        self.undeliverable = gauge("undeliverable", "Records that Kafka refuses, and those that wait behind them.")
        self.topics_held_up = gauge("topics_held_up", "Topics that take no records, as the worker that relays sees it.")
        self._operations = Counter(
            "orderbus_operations",
            "Calls to the outside by kind and outcome.",
            (*names, "operation", "outcome"),
            registry=self.registry,
        )
        self._operation_seconds = Histogram(
            "orderbus_operation_seconds",
            "Length of a call to the outside.",
            (*names, "operation"),
            registry=self.registry,
            buckets=_SECONDS,
        )
        self._own = {name: gauge(name, text) for name, text in own}
        self._worker = Info("orderbus_worker", "What runs here.", names, registry=self.registry)
        self._worker.labels(**labels).info({"version": version("orderbus")})
        self._labels = labels
        if progress is not None:
            self._watch(progress)
        self._known: dict[tuple[str, str], tuple[Counter, Histogram]] = {}

    def watch_process(self) -> None:
        """Serve this process's memory, CPU time and open files as well."""
        ProcessCollector(registry=self.registry)

    def _watch(self, progress: Progress) -> None:
        """Serve for each part since when work waits for it in vain."""
        text = "Seconds for which work has waited for a part without any of it being done."
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
