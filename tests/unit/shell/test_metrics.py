"""What a worker measures is true, or says that it is not known."""

from __future__ import annotations

import asyncio
import math
import random
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest import mock

import pytest
from aiokafka import TopicPartition
from prometheus_client import CollectorRegistry

from services.monitor.metrics import MonitorMetrics
from shared.shell.kafka.unread_since import UnreadSince
from shared.shell.observability.metrics import TABLES, Metrics
from shared.shell.ports.attention import Attention
from shared.shell.ports.bus import BusRecord
from shared.shell.ports.store import StoreUnavailable
from shared.shell.shell import Shell
from shared.simulation.relay_lock import AdvisoryLock
from tests.unit.shell.harness import Harness
from tests.unit.shell.test_progress import Kafka
from tests.unit.shell.test_relay_failures import Broker

PLACE, OTHER = TopicPartition("t", 0), TopicPartition("t", 1)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
WHO = {"service": "meter", "worker": "meter-0"}


def said(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(name, labels)


@pytest.fixture
def harness() -> Harness:
    return Harness()


@pytest.fixture
def shell(harness: Harness) -> Shell:
    return Shell(
        harness.registry.service,
        "meter-0",
        store=harness.store,
        source=Kafka(),
        sink=Broker(),
        lock=lambda: AdvisoryLock().lock("w", harness.store),
        clock=harness.clock,
        rng=random.Random(1),
    )


async def test_gauges_of_tables_that_cannot_be_read_do_not_keep_their_last_values(
    harness: Harness, shell: Shell
) -> None:
    def read() -> set[float]:
        return {
            float(value) if (value := said(shell.metrics.registry, f"orderbus_{name}", **WHO)) is not None else -1
            for _, name, _ in TABLES
        }

    async def pause(statement: str) -> None:
        raise StoreUnavailable("gone")

    assert all(map(math.isnan, read()))  # nothing was read yet
    await shell.measure()
    assert read() == {0.0}
    harness.store.pause = pause
    with pytest.raises(StoreUnavailable):
        await shell.measure()
    assert all(map(math.isnan, read()))


def test_ready_says_what_is_missing() -> None:
    missing: list[str] = []
    metrics, monitor = Metrics("meter", "meter-0"), MonitorMetrics("monitor-0", lambda: 0, lambda: 0, lambda: 0)
    metrics.serve_ready(("database", "kafka"), lambda: missing)
    monitor.serve_ready(lambda: missing)
    assert said(metrics.registry, "orderbus_ready", **WHO, part="database") == 1
    missing.append("database")
    assert said(metrics.registry, "orderbus_ready", **WHO, part="database") == 0
    assert said(metrics.registry, "orderbus_ready", **WHO, part="kafka") == 1
    assert said(monitor.registry, "orderbus_ready", service="monitor", worker="monitor-0", part="kafka") == 1


def test_what_waits_for_staff_is_added_up_by_kind() -> None:
    metrics, now = Metrics("meter", "meter-0"), datetime.now(UTC)
    metrics.attention.set(
        [
            Attention("parked", "o-1", now - HOUR, "", "", 2),
            Attention("parked", "o-2", now - 2 * HOUR, "", ""),
            Attention("parcels", "3 orders", now, "", "", 3, routine=True),
        ]
    )
    registry, parked = metrics.registry, WHO | {"what": "parked", "routine": "no"}
    assert said(registry, "orderbus_attention", **parked) == 3
    assert said(registry, "orderbus_attention_age_seconds", **parked) == pytest.approx(7200, abs=60)
    assert said(registry, "orderbus_attention", **WHO, what="parcels", routine="yes") == 3
    metrics.attention.forget()
    assert math.isnan(said(registry, "orderbus_attention", **parked) or 0)
    metrics.attention.set([])
    assert said(registry, "orderbus_attention", **parked) is None


class TestLag:
    async def test_a_record_that_was_read_counts_until_it_is_handled(self, harness: Harness, shell: Shell) -> None:
        held: list[Any] = []
        put = mock.AsyncMock(side_effect=lambda inbounds, handled: held.append(handled))
        at = harness.clock.now() - MINUTE
        with mock.patch.object(shell.batcher, "put", put):
            await shell.reader._take([BusRecord("t", 0, 1, b"k", (), b"", at), _unreadable()])
        assert said(shell.metrics.registry, "orderbus_lag_seconds", **WHO) == pytest.approx(60, abs=1)
        held[0]()
        assert said(shell.metrics.registry, "orderbus_lag_seconds", **WHO) == 0

    async def test_unread_records_count_by_their_own_time(self, harness: Harness, shell: Shell) -> None:
        source = mock.Mock()
        source.lag.return_value, source.ready.return_value = 500, True
        source.oldest_unread.return_value = harness.clock.now() - 6 * HOUR
        shell.source = source
        assert said(shell.metrics.registry, "orderbus_lag", **WHO) == 500
        assert said(shell.metrics.registry, "orderbus_lag_seconds", **WHO) == pytest.approx(6 * 3600, abs=1)
        source.ready.return_value = False
        assert math.isnan(said(shell.metrics.registry, "orderbus_lag", **WHO) or 0)

    async def test_the_oldest_unread_record_is_younger_than_the_last_one_that_was_read(self) -> None:
        since, now = UnreadSince(), datetime.now(UTC)
        since.read(PLACE, now - HOUR)
        assert since.oldest({PLACE: 3, OTHER: 0}) == now - HOUR
        assert since.oldest({PLACE: 0, OTHER: 0}) is None

    async def test_and_than_the_last_look_that_found_none(self) -> None:
        since, now = UnreadSince(), datetime.now(UTC)
        since.read(PLACE, now - HOUR)
        since.oldest({PLACE: 0})
        assert (found := since.oldest({PLACE: 1})) is not None
        assert found >= now
        await asyncio.sleep(0.01)
        assert since.oldest({PLACE: 1}) == found

    async def test_a_clock_that_is_ahead_hides_nothing(self) -> None:
        since = UnreadSince()
        since.read(PLACE, datetime.now(UTC) + HOUR)
        assert (found := since.oldest({PLACE: 1})) is not None
        assert found <= datetime.now(UTC)

    async def test_what_another_worker_reads_is_forgotten(self) -> None:
        since, now = UnreadSince(), datetime.now(UTC)
        since.read(PLACE, now - HOUR)
        since.keep({OTHER})
        assert (found := since.oldest({PLACE: 1})) is not None
        assert found >= now


def _unreadable() -> BusRecord:
    return BusRecord("t", 0, 2, None, (), None, datetime.fromtimestamp(0, UTC), unreadable="garbled")
