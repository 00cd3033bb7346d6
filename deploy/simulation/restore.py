"""One service's database restored to an earlier moment, as the operations page has it: stop the service, restore, set
its group back, raise its epoch; one worker tries what is parked and reads again in order of time, then all start. What
happens in the gap is decided again; what came by HTTP or by callback is on the service's own topics."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Hashable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from deploy.simulation.outside import Pool
from deploy.simulation.workers import Gone, Worker
from deploy.simulation.world import World
from shared.contracts.envelope import BadMessage, from_headers
from shared.core.fast_dataclasses import replace
from shared.shell.batch.own_log import OwnLog, Said, said_by
from shared.shell.operations.recall import recalled_kinds
from shared.shell.ports.store import StoreUnavailable
from shared.simulation.memory_database import OPERATIONS, OUTBOX, RESTORES

LONGEST = 90.0
"""Seconds that catching up may take; calls may wait for an outside system that is away."""
ONE_IN = 5
"""Seeds of which one has a restore: what other seeds check of its service cannot be asked there."""


@dataclass(frozen=True)
class Snapshot:
    at: datetime
    tables: dict[str, dict[Hashable, Any]]
    positions: dict[tuple[str, int], int]
    ends: dict[tuple[str, int], int]
    """Of each partition."""
    pools: dict[str, Pool]
    """Part of fulfillment's database in production."""


class Restore:
    def __init__(self, world: World) -> None:
        self.world = world
        self.rng = world.rng_of("restore")
        self.planned = world.profile.level.from_outside > 0 and world.seed % ONE_IN == ONE_IN - 1
        self.restored = ""
        """The service whose store was restored."""

    async def run(self) -> None:
        """At some moment of the run, if one is planned."""
        if not self.planned:
            return
        await asyncio.sleep(self.rng.random() * 3.0)
        name = self.rng.choice(self.world.names)
        snapshot = self._snapshot(name)
        self.world.history.add("world", "", f"a snapshot of {name} is taken")
        await asyncio.sleep(0.3 + self.rng.random() * self.rng.choice((2.0, 10.0, 400.0)))
        await self._set_back(name, snapshot)

    def _snapshot(self, name: str) -> Snapshot:
        world = self.world
        tables = {table: dict(rows) for table, rows in world.stores[name].tables.items()}
        pools = deepcopy(world.pools.pools) if name == "fulfillment" else {}
        group = world.bus.groups.get(name)
        ends = {place: len(log) for place, log in world.bus.logs.items()}
        return Snapshot(world.now(), tables, dict(group.committed) if group else {}, ends, pools)

    async def _set_back(self, name: str, snapshot: Snapshot) -> None:
        world = self.world
        world.history.fault("restore", f"{name} to {snapshot.at:%H:%M:%S.%f}")
        self.restored = name
        workers = [worker for worker in world.workers if worker.service.name == name]
        for worker in workers:
            worker.closed = True
        await asyncio.gather(*(worker.kill() for worker in workers))
        store = world.stores[name]
        epoch = len(store.rows(RESTORES)) + 1
        store.tables = {table: dict(rows) for table, rows in snapshot.tables.items()}
        store.tables[RESTORES] = {number: number for number in range(epoch)}
        for worker in workers:
            world.bus.leave(name, worker.name)
        world.bus.groups[name].committed = dict(snapshot.positions)
        if name == "fulfillment":
            world.pools.pools.clear()
            world.pools.pools.update(deepcopy(snapshot.pools))
        world.watch.forget(name)
        await self._catch_up(workers[0], snapshot)
        for worker in workers:
            worker.closed = False
        await asyncio.gather(*(worker.start() for worker in workers))

    async def _catch_up(self, worker: Worker, snapshot: Snapshot) -> None:
        world, name = self.world, worker.service.name
        log = OwnLog(recalled_kinds(worker.service))
        log.open()
        log.add(self._own_facts(name, snapshot, log.kept))
        worker.catch_up, worker.closed = log, False
        await worker.start()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LONGEST):
                while not worker.caught_up() or world.stores[name].rows(OUTBOX):
                    await asyncio.sleep(0.5)
        with contextlib.suppress(Gone, StoreUnavailable):
            await worker.asked(lambda worker: worker.parking().retry_all())
        worker.closed = True
        await worker.kill()
        world.bus.leave(name, worker.name)
        log.close()
        worker.catch_up = None
        operations = world.stores[name].rows(OPERATIONS)
        world.stores[name].tables[OPERATIONS] = {id: replace(row, abandoned=True) for id, row in operations.items()}
        world.history.add("world", "", f"{name} has caught up: {log.withheld} facts were known, {log.different} differ")

    def _own_facts(self, name: str, snapshot: Snapshot, kept: frozenset[str]) -> Iterator[Said]:
        for record in self.world.bus.records():
            if self.world.is_garbage(record):
                continue
            try:
                it = from_headers(record.headers, record.key)
            except BadMessage:
                continue
            late = record.offset >= snapshot.ends.get((record.topic, record.partition), 0)
            if it.source == name and (said := said_by(it, record.value or b"", kept, late=late)):
                yield said
