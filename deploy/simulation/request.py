"""A made-to-order store: staff who accept and decline, twice and two at once, and what its customers do meanwhile."""

from __future__ import annotations

import asyncio
import random
from datetime import timedelta
from typing import Literal

from deploy.simulation.tasks import unowned
from deploy.simulation.world import World
from shared.contracts.approval import AcceptOrder, DeclineOrder, OrderApprovalRequested, OrderVerificationRequested
from shared.contracts.checkout import CancelOrder
from shared.contracts.store_settings import ChangeStore, OrderSettings, PaymentSettings, StoreSettings
from shared.contracts.values import OrderStatus
from shared.core import Command
from shared.shell.ports.bus import BusRecord

SHARE = 0.3
"""Of the simulated stores, how many are made to order."""
CARDS = ("pm_good",) * 3 + ("pm_away",) * 4 + ("pm_3ds",) * 2 + ("pm_declined", "pm_slow")
"""`pm_away` is verified, and declined while the customer is away. `pm_3ds` is confirmed when it is verified, and the
bank demands that again."""
VERIFICATIONS: tuple[Literal["none", "amount", "setup"], ...] = ("amount", "amount", "setup", "none")
DAY = 86400.0
ANNA, BERT = "staff:anna", "staff:bert"


class RequestStore:
    def __init__(self, world: World) -> None:
        self._world, self._rng = world, world.rng_of("approval")
        self.open = self._rng.random() < SHARE
        self.cards = CARDS
        self.waits = (0.1, 1.0, 60.0, 3 * DAY, 9 * DAY)
        """At most how long a customer takes until the next try to pay: some come too late."""
        world.readers.append(self.read)

    def settings(self, grace: timedelta, currency: str) -> ChangeStore:
        verification = self._rng.choice(VERIFICATIONS)
        orders = OrderSettings(approval="staff", capture="approval", verification=verification)
        if self._rng.random() < 0.3:
            orders = orders.model_copy(update={"approval": "rule", "accept_up_to": {currency: 5000}})
        reminders = tuple(grace * part / 7 for part in (1, 3, 6)) if self._rng.random() < 0.5 else ()
        payment = PaymentSettings(reminders=reminders)
        return ChangeStore(settings=StoreSettings(orders=orders, payment=payment))

    def read(self, record: BusRecord) -> None:
        type, key = dict(record.headers).get("ce_type") or b"", (record.key or b"").decode()
        if not self.open or self._world.is_garbage(record):
            return
        if type == OrderApprovalRequested.type.encode():
            self._world.keep(unowned(lambda: self._decide(key)))
        elif type == OrderVerificationRequested.type.encode() and self._rng.random() < 0.2:
            self._world.keep(unowned(lambda: self._say(self._rng.choice(DECISIONS)(), key)))

    async def _decide(self, key: str) -> None:
        """One decides, or two do at once, who do not know of each other; some requests are forgotten."""
        drawn, wait = self._rng.random(), self._rng.random() * self._rng.choice((0.05, 3.0, 600.0, 2 * DAY))
        if drawn < 0.1:
            return
        await asyncio.sleep(wait)
        if drawn < 0.5:
            await self._say(AcceptOrder(reason="Can be made."), key)
        elif drawn < 0.6:
            await self._say(DeclineOrder(note="We are fully booked."), key)
        elif drawn < 0.75:
            await asyncio.gather(*(self._say(AcceptOrder(), key, actor) for actor in (ANNA, BERT)))
        elif drawn < 0.9:
            await asyncio.gather(self._say(AcceptOrder(), key), self._say(DeclineOrder(), key, BERT))
        else:
            await self._say(AcceptOrder(), key)
            await asyncio.sleep(self._rng.random() * self._rng.choice((0.1, 5.0, DAY)))
            await self._say(self._rng.choice((AcceptOrder, DeclineOrder, CancelOrder))(), key, BERT)

    async def _say(self, command: Command, key: str, actor: str = ANNA) -> None:
        if self._rng.random() < 0.5:
            self._world.publish(command, key, actor=actor, times=2 if self._rng.random() < 0.2 else 1)
        else:
            await self._world.submit("checkout", command, key, actor=actor)

    def confirm(self, key: str, status: str, *, well: bool) -> None:
        """The customer confirms the card, or its charge, with the bank."""
        verified = status == OrderStatus.RECEIVED
        (self._world.verifications if verified else self._world.stripe).confirm(key, well=well)

    def second_thought(self, rng: random.Random) -> float | None:
        """In how many seconds a customer gives up, early or while the order waits for staff or payment."""
        return rng.random() * rng.choice((0.3, 3.0, 600.0, 2 * DAY)) if rng.random() < 0.2 else None

    async def last_word(self, key: str) -> None:
        """What was forgotten is decided in the end."""
        await self._say(self._rng.choice(DECISIONS)(), key)


DECISIONS = (AcceptOrder, AcceptOrder, DeclineOrder)
