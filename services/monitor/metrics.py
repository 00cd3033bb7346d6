"""What the monitor measures; served at `/metrics`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import version

from prometheus_client import CollectorRegistry, Counter, Gauge, Info, ProcessCollector
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from services.monitor.records import OUTCOMES
from shared.shell.observability.metrics import Readiness


class MonitorMetrics:
    """One set, with its own registry."""

    def __init__(
        self, worker: str, lag: Callable[[], float], kept: Callable[[], float], starts: Callable[[], float]
    ) -> None:
        """What to serve for these gauges."""
        self.registry = CollectorRegistry()
        labels = self._labels = {"service": "monitor", "worker": worker}
        Info("orderbus_worker", "What runs here.", labels, registry=self.registry).labels(**labels).info(
            {"version": version("orderbus")}
        )
        for name, text, value in (
            ("lag", "Unread records of the assigned partitions.", lag),
            ("monitor_orders_kept", "Orders whose minute is known.", kept),
            ("monitor_starts", "How often reading began.", starts),
        ):
            Gauge(f"orderbus_{name}", text, labels, registry=self.registry).labels(**labels).set_function(value)
        records = Counter(
            "orderbus_monitor_records",
            "Status records: counted, unknown to this build, unreadable, failed.",
            (*labels, "outcome"),
            registry=self.registry,
        )
        self._records = {one: records.labels(**labels, outcome=one) for one in OUTCOMES}

    def record(self, outcome: str) -> None:
        self._records[outcome].inc()

    def serve_ready(self, missing: Callable[[], Sequence[str]]) -> None:
        self.registry.register(Readiness(self._labels, ("kafka", "history"), missing))

    def watch_process(self) -> None:
        """Serve this process's memory, CPU time and open files as well."""
        ProcessCollector(registry=self.registry)

    def serve_orders(self, of_last_minute: Callable[[], Mapping[str, int]]) -> None:
        """Orders by store, of the last minute that is over."""
        self.registry.register(OrdersByStore(of_last_minute))


class OrdersByStore(Collector):
    """Has a label for each store that had orders, and forgets the others."""

    def __init__(self, orders: Callable[[], Mapping[str, int]]) -> None:
        self._orders = orders

    def collect(self) -> Iterator[GaugeMetricFamily]:
        text = "Orders placed in the last minute that is over."
        family = GaugeMetricFamily("orderbus_monitor_orders_per_minute", text, labels=["service", "store"])
        for store, orders in sorted(self._orders().items()):
            family.add_metric(["monitor", store], orders)
        yield family
