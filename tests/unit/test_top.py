"""`orderbus top` reads what workers serve: rates between two looks, gauges as they are."""

from __future__ import annotations

from prometheus_client import generate_latest

from deploy.cli.top import Row, Sample, read, row_of, services_of, table
from shared.shell.observability.metrics import TABLES, Metrics


def look(metrics: Metrics, at: float) -> Sample:
    values, who = read(generate_latest(metrics.registry).decode())
    return Sample(who["worker"], "http://…", at, "ready", values, who["service"])


def test_counters_become_rates_and_histograms_means() -> None:
    metrics = Metrics("payments", "payments-1")
    metrics.handled.inc(1000)
    before = look(metrics, 10.0)
    metrics.handled.inc(50)
    metrics.batch_size.observe(20)
    metrics.batch_size.observe(30)
    metrics.transaction_seconds.observe(0.005)
    metrics.lag.set(7)
    metrics.operation("ChargeCard", "done", 0.1)

    row = row_of(before, look(metrics, 12.0))
    assert (row.worker, row.service, row.state) == ("payments-1", "payments", "ready")
    assert (row.handled, row.batch, row.transaction_ms, row.lag) == (25.0, 25.0, 5.0, 7.0)


def test_a_worker_that_began_again_counts_from_nothing() -> None:
    old, new = Metrics("payments", "payments-0"), Metrics("payments", "payments-0")
    old.handled.inc(1000)
    new.handled.inc(10)
    assert row_of(look(old, 0.0), look(new, 1.0)).handled == 10.0


def test_one_that_just_came_has_no_rate_yet_and_one_that_is_gone_says_nothing() -> None:
    gone = Sample("payments-0", "http://…", 0.0, "unreachable", {})
    metrics = Metrics("payments", "payments-0")
    metrics.handled.inc(1000)
    assert row_of(gone, look(metrics, 1.0)).handled == 0.0
    assert row_of(look(metrics, 0.0), gone) == Row("payments-0", "", "unreachable")


def test_a_service_adds_its_workers_up_but_not_what_they_say_of_its_tables() -> None:
    rows = [
        Row("checkout-0", "checkout", "ready", handled=10, lag=3, outbox=5, parked=1, memory_bytes=100),
        Row("checkout-1", "checkout", "ready", handled=20, lag=4, outbox=5, parked=1, memory_bytes=100),
        Row("payments-0", "", "unreachable"),
    ]
    together = services_of(rows)
    assert together.keys() == {"checkout"}
    checkout = together["checkout"]
    assert (checkout["workers"], checkout["handled"], checkout["lag"], checkout["outbox"], checkout["parked"]) == (
        2,
        30,
        7,
        5,
        1,
    )


def test_the_table_has_a_line_per_worker() -> None:
    rows = [Row("checkout-0", "checkout", "ready", parked=2), Row("payments-0", "", "unreachable")]
    assert table(rows).row_count == 2


def test_what_a_worker_cannot_read_is_left_empty() -> None:
    metrics = Metrics("payments", "payments-0")
    assert row_of(look(metrics, 0.0), look(metrics, 1.0)).parked is None
    metrics.set_tables(dict.fromkeys((name for name, *_ in TABLES), 3.0))
    assert row_of(look(metrics, 1.0), look(metrics, 2.0)).parked == 3.0
