"""What comes too late at Stripe: a confirmation or a result when the order's time to pay is over, and a capture of what
was declined."""

from __future__ import annotations

from deploy.simulation.mishaps import Mishaps
from deploy.simulation.stripe_books import Intent, MadeRefund
from deploy.simulation.world import World
from shared.contracts.checkout import ORDERS, OrderPaymentClosing
from shared.shell.ports.bus import BusRecord

DAY = 86_400.0
JUST_THEN = (0.05, 0.3, 3.0)
"""Seconds after the end of the time to pay: payments may be about to ask Stripe."""


class Late(Mishaps):
    def __init__(self, world: World) -> None:
        super().__init__(world, "late")
        world.stripe.watchers.append(self.see)
        world.readers.append(self.read)

    def see(self, intent: Intent, made: MadeRefund | None) -> None:
        """A payment has a new status."""
        level = self.world.profile.level
        if intent.stray or made:
            return
        match intent.status:
            case "requires_action" if self.draw(level.confirms_late):
                intent.ends_late = True
            case "processing" if self.draw(level.confirms_late):
                intent.ends_late = True
                self.later(lambda: self._end(intent), (8 * DAY,))
            case "failed" if self.draw(level.false_decline):
                self.later(lambda: self._capture(intent), (1.0, 600.0, 8 * DAY))

    def read(self, record: BusRecord) -> None:
        """The time to pay of an order is over: what has waited so long waits no longer."""
        if record.topic != ORDERS.name or dict(record.headers).get("ce_type") != OrderPaymentClosing.type.encode():
            return
        order = (record.key or b"").decode()
        for intent in self.world.stripe.intents.values():
            if intent.order == order and intent.ends_late:
                self.later(lambda intent=intent: self._end(intent), JUST_THEN)  # type: ignore[misc]

    def _end(self, intent: Intent) -> None:
        if intent.status in ("requires_action", "processing"):
            self.world.history.fault("confirms_late", f"{intent.id}, which was {intent.status}")
            self.world.stripe.end(intent, well=self.rng.random() < 0.8)

    def _capture(self, intent: Intent) -> None:
        """Only a cancelled one cannot be captured any more."""
        if intent.status == "failed":
            intent.falsely_declined = True
            self.world.history.fault("false_decline", f"{intent.id}, which is captured after all")
            self.world.stripe.end(intent, well=True)
