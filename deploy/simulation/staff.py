"""Staff who run the system: they see to parked keys, have bugs fixed, and resume what is paused."""

from __future__ import annotations

import asyncio
from uuid import UUID

import orjson

from deploy.simulation.cores import BUG
from deploy.simulation.owed import owed
from deploy.simulation.poison import Poison
from deploy.simulation.stripe_books import Intent
from deploy.simulation.tasks import unowned
from deploy.simulation.workers import Gone, Worker
from deploy.simulation.world import World
from shared.contracts.payments import PaymentRefundNeeded, PaymentUnresolved, RefundPayment, SettlePayment
from shared.shell.parking import Released
from shared.shell.ports.bus import BusRecord
from shared.shell.ports.rows import ParkedRow
from shared.shell.ports.store import StoreUnavailable
from shared.simulation.loop import OWNER
from shared.simulation.memory_database import DESTINATIONS, PARKED


class Staff:
    def __init__(self, world: World, poison: Poison) -> None:
        self.world, self.poison = world, poison
        self.rng = world.asking
        world.readers.append(self.read)
        world.watch.on_bug = self.see_to
        self._at_it: dict[tuple[str, str], asyncio.Lock] = {}
        self._next_look = 86400.0

    # Parked keys

    def see_to(self, service: str, key: str, message: UUID | None = None) -> None:
        """Staff look at a parked key, soon; mostly the worker pauses in the midst of parking it."""
        self.world.keep(unowned(lambda: self._fix(service, key, message)))
        if message and self.rng.random() < 0.75:
            owner = OWNER.get()
            self.world.loop.at_step(1, lambda: self.world.keep(unowned(lambda: self._hold_up(service, owner))))

    async def _hold_up(self, service: str, owner: str) -> None:
        """A worker pauses in the midst of setting a message aside, and another gets the same messages meanwhile."""
        world = self.world
        there = [worker for worker in world.workers if worker.service.name == service and not worker.silent()]
        held = next((worker for worker in there if worker.owner == owner), None)
        if held is None or len(there) < 2:
            return
        world.history.fault("freeze", f"{owner} while it parks")
        world.loop.freeze(owner)
        await asyncio.sleep(self.rng.choice((0.1, 1.0, 5.0)))  # for later messages of the key to arrive
        world.bus.leave(service, held.name)
        await asyncio.sleep(self.rng.random() * 0.5)
        world.loop.thaw(owner)

    def look_daily(self) -> None:
        """At what is parked or owed, for an order may wait for it as long as it takes."""
        if self.world.loop.time() >= self._next_look:
            self._next_look = self.world.loop.time() + 86400.0
            self.see_to_parked()
            self._see_to_owed()

    def see_to_parked(self) -> bool:
        """Whether there are keys that staff can free: they look at their list daily, and when nothing else goes on."""
        keys = {
            (name, row.key): None
            for name, store in self.world.stores.items()
            for row in store.rows(PARKED).values()
            if BUG in row.error or self.poison.is_ours(row)
        }
        for service, key in keys:
            self.see_to(service, key)
        return bool(keys)

    async def _fix(self, service: str, key: str, message: UUID | None) -> None:
        """Staff see a parked key, have the bug fixed, and retry until the key is free; garbage they drop."""
        await asyncio.sleep(self.rng.random() * self.rng.choice((0.5, 20.0)))
        if message:
            self.world.watch.broken.discard(message)
        async with self._at_it.setdefault((service, key), asyncio.Lock()):
            for _ in range(50):
                parked = self._parked(service, key)
                if not parked:
                    return
                await asyncio.sleep(0.3)
                try:
                    await self._free(service, key, parked[0])
                except (Gone, StoreUnavailable):
                    continue

    def _parked(self, service: str, key: str) -> list[ParkedRow]:
        rows = self.world.stores[service].rows(PARKED).values()
        return sorted((row for row in rows if row.key == key), key=lambda row: row.id)

    async def _free(self, service: str, key: str, first: ParkedRow) -> None:
        drop = self.poison.is_ours(first)

        async def ask(worker: Worker) -> Released:
            parking = worker.parking()
            return await (parking.skip(key) if drop else parking.retry(key))

        if drop:
            self.poison.dropped.add(key)
            self.world.watch.said.add((service, first.topic, first.partition, first.offset))
        released = await self.world.worker_of(service).asked(ask)
        self.world.history.add("staff", key, f"{'drop' if drop else 'retry'} what is parked in {service}: {released}")

    # Calls whose outcome is unknown

    def read(self, record: BusRecord) -> None:
        """Staff look into Stripe's dashboard and record the outcome of a charge."""
        headers = dict(record.headers)
        if headers.get("ce_type") == PaymentRefundNeeded.type.encode():
            refund, key = orjson.loads(record.value or b"")["refund"], (record.key or b"").decode()
            self.world.keep(unowned(lambda: self._refund_by_hand(refund, key)))
        if headers.get("ce_type") == PaymentUnresolved.type.encode() and self.rng.random() < 0.5:
            attempt, key = orjson.loads(record.value or b"")["attempt"], (record.key or b"").decode()
            self.world.keep(unowned(lambda: self._settle(key, attempt)))

    async def _settle(self, key: str, attempt: int) -> None:
        await asyncio.sleep(self.rng.random() * self.rng.choice((1.0, 300.0)))
        found = self.world.stripe.books(key, attempt)
        if found == "too early" or (found and found.status in ("processing", "requires_action")):
            return
        if found and found.captured:
            said = SettlePayment(attempt=attempt, outcome="captured", reference=found.id, reason="as Stripe shows it")
        else:
            said = SettlePayment(attempt=attempt, outcome="not_charged", reason="Stripe shows no such charge")
        await self.world.submit("payments", said, key, actor="staff:emma")

    async def _refund_by_hand(self, refund: str, key: str) -> None:
        """Staff refund by hand what no provider moved."""
        await asyncio.sleep(60.0)
        said = SettlePayment(refund=refund, outcome="refunded", reason="At the counter.")
        await self.world.submit("payments", said, key, actor="staff:emma")

    # What is owed

    def _see_to_owed(self) -> None:
        """Staff record a refund that only Stripe's dashboard has, for payments' database was restored: Stripe makes no
        second one."""
        for key, payment, part in owed(self.world):
            attempt = payment.attempt(part.attempt)
            if attempt and part.code == "charge_already_refunded":
                known = {refund.reference for refund in payment.refunds}
                self._record(key, part.attempt, self.world.stripe.intents[attempt.reference], known)

    def _record(self, key: str, attempt: int, intent: Intent, known: set[str]) -> None:
        for made in intent.refunds:
            if made.lasts and made.id not in known:
                said = RefundPayment(
                    attempt=attempt,
                    amount=intent.in_minor_units(made.amount),
                    refund_payment=False,
                    note="As Stripe's dashboard shows it.",
                    reference=made.id,
                )
                self.world.publish(said, key, actor="staff:emma")

    # Paused systems

    async def resume_all(self) -> None:
        """What was paused for a wrong setting goes on: by hand, or by the next probe."""
        if self.rng.random() < 0.5:
            return
        for name in self.world.names:
            for destination in sorted(self.world.stores[name].rows(DESTINATIONS), key=str):
                try:
                    await self.world.worker_of(name).asked(lambda worker, d=str(destination): worker.resume(d))  # type: ignore[misc]
                except (Gone, StoreUnavailable):
                    continue
