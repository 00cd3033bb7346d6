"""What the monitor measures; served at `/metrics`."""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterator, Mapping, Sequence, Sized
from importlib.metadata import version

from prometheus_client import CollectorRegistry, Counter, Gauge, Info, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from services.monitor.domain.figures import ORDERS, Counts
from services.monitor.domain.unusual import Alerts
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

    def serve_figures(self, of_last_minute: Callable[[], Mapping[str, Counts]]) -> None:
        """By store, of the last minute that is over."""
        self.registry.register(FiguresByStore(of_last_minute))

    def serve_alerts(self, alerts: Alerts, followers: Sized) -> None:
        self.registry.register(AlertsByStore(alerts, self._labels))
        Gauge(
            "orderbus_monitor_streams", "Open streams of the live picture.", self._labels, registry=self.registry
        ).labels(**self._labels).set_function(lambda: len(followers))


class FiguresByStore(Collector):
    """Has a label for each store that had any, and forgets the others."""

    def __init__(self, figures: Callable[[], Mapping[str, Counts]]) -> None:
        self._figures = figures

    def collect(self) -> Iterator[GaugeMetricFamily]:
        of_minute = "of the last minute that is over"
        orders = GaugeMetricFamily(
            "orderbus_monitor_orders_per_minute", f"Orders placed, {of_minute}.", labels=["service", "store"]
        )
        others = GaugeMetricFamily(
            "orderbus_monitor_figures_per_minute",
            f"Orders paid and failed, attempts, declined ones, refunds, {of_minute}.",
            labels=["service", "store", "figure"],
        )
        money = GaugeMetricFamily(
            "orderbus_monitor_money_per_minute",
            f"Revenue and refunds in minor units, {of_minute}.",
            labels=["service", "store", "figure", "currency"],
        )
        for store, counts in sorted(self._figures().items()):
            for (figure, currency), amount in sorted(counts.items()):
                if figure == ORDERS:
                    orders.add_metric(["monitor", store], amount)
                elif currency:
                    money.add_metric(["monitor", store, figure, currency], amount)
                else:
                    others.add_metric(["monitor", store, figure], amount)
        yield from (orders, others, money)


class AlertsByStore(Collector):
    """Has a label for each kind of pattern that there is, and forgets the others."""

    def __init__(self, alerts: Alerts, labels: Mapping[str, str]) -> None:
        self._alerts, self._labels = alerts, labels

    def collect(self) -> Iterator[Metric]:
        names, values = list(self._labels), list(self._labels.values())
        current = GaugeMetricFamily(
            "orderbus_monitor_unusual",
            "Unusual patterns that there are now.",
            labels=[*names, "store", "what", "by"],
        )
        kinds = collections.Counter((one.key.store, one.key.what, one.key.source.by) for one in self._alerts.current())
        for kind, count in sorted(kinds.items()):
            current.add_metric([*values, *kind], count)
        raised = CounterMetricFamily(
            "orderbus_monitor_alerts_raised", "Unusual patterns that were noticed.", labels=names
        )
        raised.add_metric(values, self._alerts.raised)
        yield from (current, raised)
