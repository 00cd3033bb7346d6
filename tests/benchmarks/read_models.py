"""How fast staff's read models are written: `python -m tests.benchmarks.read_models --orders 20000`.

The records are those of simulated orders, repeated under other keys, in full batches, into a PostgreSQL of its own.
Kafka is left out: what is measured is decoding, folding and writing.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import uvloop

from deploy.devstack.children import Children
from deploy.devstack.ports import choose
from deploy.devstack.postgres import Postgres
from services.staff.domain import PROJECTION
from services.staff.storage import read_models
from shared.shell.observability.metrics import Metrics
from shared.shell.observability.progress import PROJECTOR, Progress
from shared.shell.ports.bus import BusRecord
from shared.shell.ports.clock import SystemClock
from shared.shell.postgres import migration
from shared.shell.postgres.engine import create_engine
from shared.shell.postgres.read_models import PostgresReadModels
from shared.shell.projection.fold import Fold
from shared.shell.projection.projector import BATCH, Projector
from shared.shell.worker import collect_seldom
from tests.integration.staff_records import simulated_records

LIVES = 30
"""Orders that are simulated."""


class _NoSource:
    def lag(self) -> int:
        return 0


def repeated(records: Sequence[BusRecord], orders: int) -> Iterator[BusRecord]:
    """The same lives again and again, each time of other orders."""
    offsets: dict[tuple[str, int], int] = {}
    for number in range(-(-orders // LIVES)):
        ending = f"-{number}".encode()
        for record in records:
            place = (record.topic, record.partition)
            offsets[place] = offsets.get(place, -1) + 1
            headers = tuple((k, v + ending if k == "ce_subject" and v else v) for k, v in record.headers)
            yield dataclasses.replace(record, offset=offsets[place], key=(record.key or b"") + ending, headers=headers)


async def measured(url: str, orders: int) -> str:
    engine = create_engine(url, "benchmark")
    projector = Projector(
        Fold(PROJECTION, read_models),
        _NoSource(),  # type: ignore[arg-type]
        PostgresReadModels(engine, read_models),
        SystemClock(),
        Metrics("staff", "staff-0"),
        random.Random(1),
        Progress(parts=(PROJECTOR,)),
        linger=0,
    )
    records = repeated(simulated_records(1, LIVES, "none"), orders)
    collect_seldom()
    count, cpu, seconds = 0, 0.0, 0.0
    while batch := list(islice(records, BATCH)):
        began, used = time.perf_counter(), time.process_time()
        await projector.take(batch)
        count, cpu, seconds = (
            count + len(batch),
            cpu + time.process_time() - used,
            seconds + time.perf_counter() - began,
        )
    await engine.dispose()
    return (
        f"{orders} orders, {count} messages in {seconds:.1f} s: {count / seconds:,.0f}/s, "
        f"{cpu / count * 1e6:.1f} µs of the worker's CPU each"
    )


async def run(orders: int) -> None:
    with tempfile.TemporaryDirectory(prefix="orderbus-read-models-") as folder:
        async with Children() as children:
            data, port = Path(folder), choose(["postgres"])["postgres"]
            server = Postgres(data / "data", data, port, "benchmark", children, databases=("staff",))
            await server.start()
            await asyncio.to_thread(migration.migrate, "staff", server.url("staff"))
            print(await measured(server.url("staff"), orders))
            await server.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.read_models", description=__doc__)
    parser.add_argument("--orders", type=int, default=20_000, help="how many orders (20000)")
    uvloop.run(run(parser.parse_args().orders))
