"""What happens at Stripe without orderbus: charges and refunds made in its dashboard, refunds that the bank returns,
and an account that makes no charges for a while."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

from deploy.simulation.mishaps import Mishaps
from deploy.simulation.outage import MARK, Outage
from deploy.simulation.stripe import CHARGES
from deploy.simulation.stripe_books import UNITS, Intent, MadeRefund
from deploy.simulation.world import World

STRAY = 50
"""Minor units: less than anything that the store sells."""
DAY = 86_400.0
PAUSED = f"Stripe's account is not activated for live charges ({MARK})"


class Dashboard(Mishaps):
    def __init__(self, world: World, resume_all: Callable[[], Awaitable[None]]) -> None:
        super().__init__(world, "dashboard")
        self.resume_all = resume_all
        world.stripe.watchers.append(self.see)

    def see(self, intent: Intent, made: MadeRefund | None) -> None:
        """A payment, or a refund of it, has a new status."""
        level = self.world.profile.level
        if intent.stray or (made and not made.refund):
            return
        if made:
            if made.status == "succeeded" and self.draw(level.refund_bounces):
                self.later(lambda: self._bounce(intent, made), (1.0, 60.0, 5 * DAY))
        elif intent.status == "requires_action" and self.draw(level.stray_charge):
            self.later(lambda: self._charge(intent), (0.1, 1.0))
        elif intent.captured and self.draw(level.dashboard_refund):
            self.later(lambda: self._refund(intent), (1.0, 600.0, DAY))

    async def run(self, over: float) -> None:
        """In so many seconds, Stripe may pause the account."""
        world = self.world
        if not self.draw(world.profile.level.account_paused):
            return
        await asyncio.sleep(self.rng.random() * over)
        seconds = self.rng.choice((5.0, 120.0, 900.0, 5000.0))
        world.history.fault("account_paused", f"for {seconds:g} s")
        world.profile.outages[CHARGES] = Outage("operator", PAUSED)
        await asyncio.sleep(seconds)
        world.profile.outages.pop(CHARGES, None)
        world.history.add("world", "", "Stripe's account makes charges again")
        await self.resume_all()

    def _charge(self, like: Intent) -> None:
        """Staff copy the metadata of a payment that its customer has still to confirm."""
        if like.status != "requires_action":
            return
        stripe = self.world.stripe
        id = f"pi_{len(stripe.intents) + 1}"
        amount = STRAY * UNITS.get(like.currency, 1)
        stray = replace(like, id=id, amount=amount, status="succeeded", code="", refunds=[], stray=True)
        stripe.intents[id] = stray
        self.world.history.fault("stray_charge", f"{id} of {STRAY} like {like.id}")
        stripe.notify(stray)

    def _refund(self, intent: Intent) -> None:
        left, step = intent.left, intent.step
        if left <= 0:
            return
        amount = min(left, self.rng.choice((left, step * (1 + int(self.rng.random() * (left // step))))))
        made = MadeRefund(self.world.stripe.next_refund(), "", amount, "succeeded")
        intent.refunds.append(made)
        self.world.history.fault("dashboard_refund", f"{made.id} of {amount} of {intent.id}")
        self.world.stripe.notify(intent, made)

    def _bounce(self, intent: Intent, made: MadeRefund) -> None:
        if made.status != "succeeded":
            return
        made.status = "failed"
        self.world.history.fault("refund_bounces", f"{made.id} of {made.amount} of {intent.id}")
        self.world.stripe.notify(intent, made)
