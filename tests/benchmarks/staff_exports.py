"""How fast staff's exports are: `python -m tests.benchmarks.staff_exports --orders 1000000`.

Fills the read models of a PostgreSQL of its own with made-up orders, then runs exports of all of them as a worker does:
the twelve usual columns and all columns, as CSV and as XLSX. Prints the seconds that each takes, the CPU seconds of the
process that runs them and of the server, the highest memory of the process and how much of it the export added, and how
long its event loop was held up.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import asyncpg
import uvloop
from sqlalchemy.ext.asyncio import AsyncEngine

from deploy.devstack.children import Children
from deploy.devstack.ports import choose
from deploy.devstack.postgres import Postgres
from services.staff.domain.export import COLUMNS, USUAL
from services.staff.domain.jobs import JobKind, JobState
from services.staff.jobs.job import find_job
from services.staff.jobs.jobs import Jobs
from services.staff.jobs.owner import UnknownOwners
from services.staff.jobs.requests import ExportRequest
from shared.shell.http.principals import Principal
from shared.shell.postgres import migration
from shared.shell.postgres.engine import create_engine
from tests.benchmarks.staff_orders import made_orders, write_orders

TARGET_SECONDS, TARGET_MEGABYTES = 60.0, 100.0
TICK = 0.005
EXPORTS: Sequence[tuple[str, Sequence[str]]] = (
    *(("csv", USUAL), ("xlsx", USUAL)),
    *(("csv", tuple(COLUMNS)), ("xlsx", tuple(COLUMNS))),
)
STAFF = Principal("benchmark", ("*",), None)


class Ticks:
    """How late the event loop wakes up what sleeps."""

    def __init__(self) -> None:
        self.late: list[float] = []

    async def run(self) -> None:
        while True:
            began = time.perf_counter()
            await asyncio.sleep(TICK)
            self.late.append((time.perf_counter() - began - TICK) * 1000)


def megabytes() -> float:
    """Now, not the most so far."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


async def watch_memory(found: list[float]) -> None:
    while True:
        found.append(megabytes())
        await asyncio.sleep(0.1)


async def server_seconds(engine: AsyncEngine) -> float:
    """CPU seconds of the server's processes of this pool."""
    async with engine.connect() as connection:
        statement = "select pid from pg_stat_activity where application_name = 'benchmark'"
        pids = (await connection.exec_driver_sql(statement)).scalars().all()
    return sum(map(cpu_seconds, pids))


def cpu_seconds(pid: int) -> float:
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


async def exported(engine: AsyncEngine, format: str, columns: Sequence[str], key: str) -> str:
    jobs = Jobs(engine, UnknownOwners())
    request = ExportRequest.model_validate({"format": format, "columns": list(columns), "zone": "Europe/Berlin"})
    made = await jobs.new.export(STAFF, request, key)
    ticks, memory, before = Ticks(), list[float](), megabytes()
    watches = [asyncio.create_task(ticks.run()), asyncio.create_task(watch_memory(memory))]
    of_server = await server_seconds(engine)
    began, used = time.perf_counter(), time.process_time()
    await jobs.runner.run_next(JobKind.EXPORT)
    took, used = time.perf_counter() - began, time.process_time() - used
    of_server = await server_seconds(engine) - of_server
    for watch in watches:
        watch.cancel()
    async with engine.connect() as connection:
        job = await find_job(connection, made.job.id)
    assert job is not None and job.state is JobState.DONE and job.file_size, job
    late = statistics.quantiles(ticks.late, n=100)[98]
    mark = "" if took <= TARGET_SECONDS and max(memory) - before <= TARGET_MEGABYTES else "  *"
    figures = (took, used, of_server, max(memory), max(memory) - before, job.file_size / 1e6, late, max(ticks.late))
    return f"{format:5}{len(columns):3} columns{job.done:10}{''.join(f'{figure:9.1f}' for figure in figures)}{mark}"


async def run(given: argparse.Namespace) -> None:
    folder = Path(given.folder)
    async with Children() as children:
        port = choose(["postgres"])["postgres"]
        server = Postgres(folder / "data", folder, port, "benchmark", children, databases=("staff",))
        await server.start()
        if given.fill:
            await fill(server.url("staff"), given.orders)
            (folder / "filled").touch()
        else:
            await measure(server.url("staff"))
        await server.stop()


async def fill(url: str, orders: int) -> None:
    await asyncio.to_thread(migration.migrate, "staff", url)
    connection = await asyncpg.connect(url)
    await write_orders(connection, made_orders(orders))
    await connection.close()


async def measure(url: str) -> None:
    heads = ("s", "CPU s", "server s", "MB", "more MB", "file MB", "late p99", "max ms")
    print(f"{'':18}{'orders':>10}{''.join(f'{head:>9}' for head in heads)}")
    engine, keys = create_engine(url, "benchmark"), count()
    for format, columns in EXPORTS:
        key = f"{datetime.now(UTC).isoformat()} {next(keys)}"
        print(await exported(engine, format, columns, key), flush=True)
    await engine.dispose()
    print(f"*: more than {TARGET_SECONDS:.0f} s or {TARGET_MEGABYTES:.0f} MB")


async def both(given: argparse.Namespace) -> None:
    """What fills the tables takes memory that a worker would not: it is a process of its own."""
    command = [sys.executable, "-m", "tests.benchmarks.staff_exports", "--folder", given.folder, "--fill"]
    if not (Path(given.folder) / "filled").exists():
        filler = await asyncio.create_subprocess_exec(*command, "--orders", str(given.orders))
        assert await filler.wait() == 0
    await run(given)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.staff_exports", description=__doc__)
    parser.add_argument("--orders", type=int, default=100_000, help="how many orders (100000)")
    parser.add_argument("--folder", help="a folder: keep the database there, and use it again")
    parser.add_argument("--fill", action="store_true", help="only fill the database of the folder")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="orderbus-staff-exports-") as temporary:
        given.folder = given.folder or temporary
        Path(given.folder).mkdir(parents=True, exist_ok=True)
        uvloop.run(run(given) if given.fill else both(given))


if __name__ == "__main__":
    main()
