"""`orderbus top` reads what workers serve: rates between two looks, gauges as they are."""

from __future__ import annotations

import io
from collections import Counter
from dataclasses import replace

import pytest
from prometheus_client import generate_latest
from rich.console import Console

from deploy.cli.top import COLUMNS, Row, Sample, _line, read, row_of, services_of, table
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


WELL = Row("notifications-10", "notifications", "ready", 12345, 12, 12345, 100000, 61.5, 12.5, 123.4, 100000, 3600.0)
TROUBLED = replace(WELL, operations=9, operations_late=12, operations_in_doubt=3, destinations_paused=1, parked=123)
SILENT = Row("payments-0", "", "unreachable")
WAITING = Row("checkout-0", "checkout", "waiting for database, broker, migrations", handled=0.0)


def printed(rows: list[Row], width: int | None) -> tuple[list[str], list[str]]:
    shown, left_out = table(rows, width)
    out = io.StringIO()
    Console(file=out, width=width or 1000).print(shown)
    return [line.rstrip() for line in out.getvalue().splitlines()], left_out


def test_the_table_has_a_line_per_worker() -> None:
    lines, left_out = printed([WELL, SILENT, WAITING], None)
    assert [line.split()[0] for line in lines] == ["worker", "notifications-10", "payments-0", "checkout-0"]
    assert left_out == []


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("rows", [[WELL, SILENT], [TROUBLED, WAITING]])
def test_what_a_terminal_shows_is_whole(rows: list[Row], width: int) -> None:
    lines, left_out = printed(rows, width)
    assert max(map(len, lines)) <= width
    whole, _ = printed(rows, None)
    titles = ["worker", "state", *(title for title, *_ in COLUMNS), "MB"]
    cells = [_line(row)[title][0] for row in rows for title in titles if title not in left_out]
    said = [title for title in titles if title not in left_out] + cells
    assert Counter("".join("".join(lines).split())) == Counter("".join("".join(said).split()))
    assert len(whole) == 3


def test_what_is_alarming_is_never_left_out() -> None:
    everything = replace(TROUBLED, undeliverable=12)
    assert not {"late", "in doubt", "paused", "parked", "undeliv."} & {*printed([everything], 80)[1]}
    assert {"late", "in doubt", "paused", "parked", "undeliv."} <= {*printed([WELL], 60)[1]}


def test_what_a_worker_cannot_read_is_left_empty() -> None:
    metrics = Metrics("payments", "payments-0")
    assert row_of(look(metrics, 0.0), look(metrics, 1.0)).parked is None
    metrics.set_tables(dict.fromkeys((name for name, *_ in TABLES), 3.0))
    assert row_of(look(metrics, 1.0), look(metrics, 2.0)).parked == 3.0
