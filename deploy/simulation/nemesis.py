"""Faults from outside the code: crashes, freezes, restarts, rebalances, outages, repetitions, jumping clocks. Those of
outside systems are in `outages.py`, unreadable records in `poison.py`, a restored database in `restore.py`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from deploy.simulation.outage import Outage
from deploy.simulation.tasks import unowned
from deploy.simulation.workers import Worker
from deploy.simulation.world import World

Strike = tuple[int, Callable[[], Awaitable[None]]]
"""A kind of fault, and its weight."""
SESSION = 10.0
"""Seconds of silence after which a member loses its partitions."""


class Nemesis:
    """Strikes at moments that the seed chooses, some of them between two steps of a worker."""

    def __init__(self, world: World, others: Iterable[Strike]) -> None:
        """`others`: strikes of other files."""
        self.world = world
        self.rng = world.rng_of("nemesis")
        kinds: tuple[Strike, ...] = (
            (6, self.crash),
            (2, self.crash_pair),
            (3, self.freeze),
            (2, self.restart),
            (3, self.rebalance),
            (2, self.store_outage),
            (2, self.broker_outage),
            (4, self.repeat_record),
            (2, self.clock_jump),
            (1, self.lose_relay_lock),
            (1, self.crash_with_everything_leased),
            *others,
        )
        self._kinds = [kind for weight, kind in kinds for _ in range(weight)]

    async def run(self, strikes: int, over: float) -> None:
        """So many faults, in so many seconds (on average)."""
        for _ in range(strikes):
            await asyncio.sleep(self.rng.expovariate(strikes / over))
            self.strike()

    def strike(self) -> None:
        """One fault, some steps from now."""
        kind = self.rng.choice(self._kinds)
        self.world.loop.at_step(int(self.rng.random() * 300), lambda: self._begin(kind))

    def _begin(self, kind: Callable[[], Awaitable[None]]) -> None:
        self.world.keep(unowned(kind))

    def _worker(self) -> Worker | None:
        there = [worker for worker in self.world.workers if worker.up and not worker.frozen]
        return self.rng.choice(there) if there else None

    async def crash(self) -> None:
        if worker := self._worker():
            self.world.history.fault("crash", worker.owner)
            await self._die(worker)

    async def crash_pair(self) -> None:
        """All workers of one service at once."""
        if worker := self._worker():
            pair = [other for other in self.world.workers if other.service.name == worker.service.name and other.up]
            self.world.history.fault("crash_of_all_workers", worker.service.name)
            await asyncio.gather(*(self._die(other) for other in pair))

    async def crash_with_everything_leased(self) -> None:
        """An outside system falls silent until every worker holds what it can, then all workers of a service die."""
        place, name = self.rng.choice((("stripe", "payments"), ("mails", "notifications"), ("platform", "fulfillment")))
        world = self.world
        if place in world.profile.outages:
            return
        world.profile.outages[place] = Outage("silent")
        await asyncio.sleep(3.0 + self.rng.random() * 20.0)
        pair = [worker for worker in world.workers if worker.service.name == name and worker.up]
        world.history.fault("crash_with_everything_leased", f"{name}: {world.leased(name)} leases")
        await asyncio.gather(*(worker.kill() for worker in pair))
        world.look_for_operations_never_called(name)
        world.profile.outages.pop(place, None)
        await asyncio.sleep(self.rng.random() * 0.3)
        await asyncio.gather(*(worker.start() for worker in pair))

    async def _die(self, worker: Worker) -> None:
        if not worker.up:
            return
        await worker.kill()
        long = self.rng.random() < 0.2
        await asyncio.sleep(self.rng.random() * (1.5 * SESSION if long else 0.3))
        if long:
            self.world.bus.leave(worker.service.name, worker.name)
        await worker.start()

    async def freeze(self) -> None:
        if worker := self._worker():
            seconds = self.rng.choice((0.5, 3.0, 2 * SESSION))
            owner = worker.owner
            self.world.history.fault("freeze", f"{owner} for {seconds:g} s")
            self.world.loop.freeze(owner)
            await asyncio.sleep(min(seconds, SESSION))
            if seconds > SESSION:
                self.world.bus.leave(worker.service.name, worker.name)
                await asyncio.sleep(seconds - SESSION)
            self.world.loop.thaw(owner)

    async def restart(self) -> None:
        if worker := self._worker():
            self.world.history.fault("restart", worker.owner)
            await worker.stop()
            await worker.start()

    async def rebalance(self) -> None:
        name = self.rng.choice(self.world.names)
        self.world.history.fault("rebalance", name)
        self.world.bus.rebalance(name)

    async def store_outage(self) -> None:
        name, seconds = self.rng.choice(self.world.names), self.rng.random() * 2
        self.world.history.fault("store_outage", f"{name} for {seconds:.2f} s")
        self.world.profile.stores_down.add(name)
        self.world.relay_locks[name].broken()
        await asyncio.sleep(seconds)
        self.world.profile.stores_down.discard(name)

    async def broker_outage(self) -> None:
        seconds = self.rng.random() * 2
        self.world.history.fault("broker_outage", f"for {seconds:.2f} s")
        self.world.profile.bus_down = True
        await asyncio.sleep(seconds)
        self.world.profile.bus_down = False

    async def repeat_record(self) -> None:
        bus = self.world.bus
        places = [place for place in sorted(bus.logs) if bus.records_of(place)]
        if places:
            record = self.rng.choice(bus.records_of(self.rng.choice(places)))
            if self.world.is_garbage(record):
                return
            self.world.history.fault("record_repeated", f"{record.topic}/{record.partition}/{record.offset}")
            bus.repeat(record)

    async def clock_jump(self) -> None:
        seconds = self.rng.choice((-2.0, -0.05, 0.3, 30.0, 3700.0))
        self.world.history.fault("clock_jump", f"by {seconds:g} s")
        self.world.jump_clock(seconds)

    async def lose_relay_lock(self) -> None:
        name = self.rng.choice(self.world.names)
        self.world.history.fault("relay_lock_lost", name)
        self.world.relay_locks[name].broken()
