"""How fast staff's bulk jobs are: `python -m tests.benchmarks.staff_bulk --orders 10000`.

Fills the read models of a PostgreSQL of its own, and cancels as many orders as a worker does, with owners that answer
after some milliseconds: what staff's own part of a bulk job takes. `--milliseconds` is what one command takes at its
owner; a real one commits it in about ten.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from pathlib import Path

import uvloop

from deploy.devstack.children import Children
from deploy.devstack.ports import choose
from deploy.devstack.postgres import Postgres
from services.staff.domain.jobs import JobKind, JobState
from services.staff.jobs.job import find_job
from services.staff.jobs.jobs import Jobs
from services.staff.jobs.owner import DONE, CommandOutcome, OrderCommand
from services.staff.jobs.requests import BulkRequest
from shared.shell.postgres.engine import create_engine
from tests.benchmarks.staff_exports import STAFF, fill

TARGET = 10_000 / 180
"""Commands a second: 10,000 in three minutes."""


class SlowOwners:
    """A CommandSender."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.sent = 0

    async def send(self, command: OrderCommand) -> CommandOutcome:
        await asyncio.sleep(self._seconds)
        self.sent += 1
        return DONE


async def measure(url: str, orders: int, seconds: float) -> None:
    engine, owners = create_engine(url, "benchmark"), SlowOwners(seconds)
    jobs = Jobs(engine, owners)
    ids = tuple(f"o-{number:09}" for number in range(orders))
    began = time.perf_counter()
    made = await jobs.new.bulk(STAFF, BulkRequest(action="cancel", orders=ids), "benchmark")
    kept, used = time.perf_counter() - began, time.process_time()
    began = time.perf_counter()
    await jobs.runner.run_next(JobKind.BULK)
    took, used = time.perf_counter() - began, time.process_time() - used
    async with engine.connect() as connection:
        job = await find_job(connection, made.job.id)
    assert job is not None and job.state is JobState.DONE and owners.sent == orders == job.done, job
    await engine.dispose()
    rate = orders / took
    mark = "" if rate >= TARGET else f"  (less than {TARGET:.0f})"
    print(f"{orders} orders kept in {kept:.2f} s, sent in {took:.1f} s: {rate:.0f} a second{mark}; CPU {used:.1f} s")


async def run(given: argparse.Namespace, folder: Path) -> None:
    async with Children() as children:
        port = choose(["postgres"])["postgres"]
        server = Postgres(folder / "data", folder, port, "benchmark", children, databases=("staff",))
        await server.start()
        await fill(server.url("staff"), given.orders)
        await measure(server.url("staff"), given.orders, given.milliseconds / 1000)
        await server.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.staff_bulk", description=__doc__)
    parser.add_argument("--orders", type=int, default=10_000, help="how many orders (10000, the most)")
    parser.add_argument("--milliseconds", type=float, default=20.0, help="what a command takes at its owner (20)")
    with tempfile.TemporaryDirectory(prefix="orderbus-staff-bulk-") as temporary:
        uvloop.run(run(parser.parse_args(), Path(temporary)))
