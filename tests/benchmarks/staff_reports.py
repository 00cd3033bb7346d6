"""How fast staff's reports are: `python -m tests.benchmarks.staff_reports --orders 1000000`.

Fills the read models of a PostgreSQL of its own with made-up orders, then asks for random reports of random periods,
and prints the times of each kind: from the request to its answer, HTTP left out. Then it makes all sums again, as a
rebuild does, and those of one store, as a change of its time zone does.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
import time
from collections import defaultdict
from datetime import timedelta
from pathlib import Path

import asyncpg
import uvloop
from sqlalchemy.ext.asyncio import AsyncEngine

from deploy.devstack.children import Children
from deploy.devstack.ports import choose
from deploy.devstack.postgres import Postgres
from services.staff.domain.report import REPORTS, Period, by_value, over_time
from services.staff.report_query import product_names, sums_of, zones_of
from services.staff.reports import VALUES
from services.staff.storage import read_models
from shared.shell.postgres import migration
from shared.shell.postgres.day_sums import sum_again, wrong_sums
from shared.shell.postgres.engine import create_engine, create_read_engine
from tests.benchmarks.staff_lists import cpu_seconds
from tests.benchmarks.staff_lists import report as as_table
from tests.benchmarks.staff_orders import DAYS, NOW, STORE_WEIGHTS, STORES, made_orders, write_orders

TARGET = 200.0
"""Milliseconds that 95 of 100 reports may take."""
KINDS = [(report.name, by) for report in REPORTS.values() for by in (None, *report.by)]


def random_period(rng: random.Random) -> Period:
    days = rng.choice((1, 7, 30, 90, 365, DAYS // 2, DAYS))
    last = NOW.date() - timedelta(days=rng.randrange(max(DAYS - days, 1)))
    return Period(last - timedelta(days=days - 1), last)


class Reports:
    """Of random users of one store, or of all."""

    def __init__(self, engine: AsyncEngine, rng: random.Random) -> None:
        self._engine, self._rng = engine, rng
        self.times: dict[str, list[float]] = defaultdict(list)
        self.cpu: dict[str, list[float]] = defaultdict(list)

    async def ask(self, name: str, by: str | None) -> None:
        table, period = REPORTS[name].table(by), random_period(self._rng)
        stores = list(STORES) if self._rng.random() < 0.5 else self._rng.choices(STORES, STORE_WEIGHTS)
        async with self._engine.connect() as connection:
            server = (await connection.exec_driver_sql("select pg_backend_pid()")).scalar_one()
        began, used = time.perf_counter(), cpu_seconds(server)
        async with self._engine.connect() as connection:
            await zones_of(connection, stores)
            rows = await sums_of(connection, stores, table, period, (), by_day=by is None)
            if by is None:
                interval = period.usual_interval()
                over_time(table, rows, period.labels(interval), period.before().labels(interval))
            else:
                values, _, _ = by_value(table, rows, VALUES)
                if by == "product":
                    await product_names(connection, stores, values)
        kind = f"{name} by {by}" if by else f"{name} over time"
        self.times[kind].append((time.perf_counter() - began) * 1000)
        self.cpu[kind].append((cpu_seconds(server) - used) * 1000)


async def measured(url: str, rounds: int, seed: int) -> None:
    engine = create_read_engine(url, "benchmark", pool=1)
    reports = Reports(engine, random.Random(seed))
    for kind in KINDS:
        await reports.ask(*kind)
    reports.times.clear()
    reports.cpu.clear()
    for _ in range(rounds):
        for kind in KINDS:
            await reports.ask(*kind)
    await engine.dispose()
    every = {"all reports": [took for found in reports.times.values() for took in found]}
    every_cpu = {"all reports": [took for found in reports.cpu.values() for took in found]}
    print(as_table(reports.times | every, reports.cpu | every_cpu, TARGET))


async def made_again(url: str) -> None:
    engine = create_engine(url, "benchmark")
    for store in ("", STORES[0]):
        async with engine.begin() as connection:
            began = time.perf_counter()
            await sum_again(connection, read_models, store)
            print(f"sums of {store or 'all stores'} made again in {time.perf_counter() - began:.1f} s")
    async with engine.connect() as connection:
        await connection.exec_driver_sql("set statement_timeout = 0")
        began = time.perf_counter()
        wrong = await wrong_sums(connection, read_models)
        print(f"compared in {time.perf_counter() - began:.1f} s: {len(wrong)} wrong")
        size = "select count(*), pg_size_pretty(pg_total_relation_size('day_sums')) from day_sums"
        print("sums: {} rows, {}".format(*(await connection.exec_driver_sql(size)).one()))
    await engine.dispose()


async def run(given: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory(prefix="orderbus-staff-reports-") as temporary:
        folder = Path(given.folder or temporary)
        is_filled = (folder / "filled").exists()
        async with Children() as children:
            port = choose(["postgres"])["postgres"]
            server = Postgres(folder / "data", folder, port, "benchmark", children, databases=("staff",))
            await server.start()
            url = server.url("staff")
            if not is_filled:
                await asyncio.to_thread(migration.migrate, "staff", url)
                began = time.perf_counter()
                connection = await asyncpg.connect(url)
                await write_orders(connection, made_orders(given.orders))
                await connection.close()
                print(f"{given.orders} orders made and written in {time.perf_counter() - began:.0f} s")
                (folder / "filled").touch()
            await measured(url, given.rounds, given.seed)
            if given.again:
                await made_again(url)
            await server.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.staff_reports", description=__doc__)
    parser.add_argument("--orders", type=int, default=100_000, help="how many orders (100000)")
    parser.add_argument("--rounds", type=int, default=30, help="how often each report is asked for (30)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", help="a folder: keep the database there, and use it again")
    parser.add_argument("--again", action="store_true", help="also make the sums again, and compare them")
    arguments = parser.parse_args()
    if arguments.folder:
        Path(arguments.folder).mkdir(parents=True, exist_ok=True)
    uvloop.run(run(arguments))
