"""Customers who pay again, or give another card to verify, on the pay page: by one click or two, of a page that may be
out of date."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.contracts.pay_page import RetryPayment
from shared.contracts.providers import DEFAULT
from shared.contracts.values import OrderStatus

if TYPE_CHECKING:
    from deploy.simulation.world import World

LINK = "https://pay.example/pay/x"


class PayPages:
    def __init__(self, world: World) -> None:
        self.world = world
        self._rng = world.rng_of("pay pages")

    def taken(self, key: str, card: str, status: str = "") -> bool:
        """Whether the customer of the order takes the page, instead of the shop's own."""
        if self._rng.random() < 0.5:
            return False
        made = max((it.attempt for it in self.world.stripe.intents.values() if it.order == key), default=1)
        attempt = made if self._rng.random() < 0.8 else max(made - 1, 1)
        if status == OrderStatus.RECEIVED:
            given = sum(it.order == key for it in self.world.verifications.made.values()) or 1
            verification = given if self._rng.random() < 0.8 else max(given - 1, 1)
            self._give(key, card, verification)
            return True
        again = RetryPayment(attempt=attempt, provider=DEFAULT, payment_method=card, return_url=LINK)
        self.world.publish(again, key, actor="customer", times=self._rng.choice((1, 1, 2)))
        return True

    def _give(self, key: str, card: str, after: int) -> None:
        other = RetryPayment(attempt=0, provider=DEFAULT, payment_method=card, return_url=LINK, verification=after)
        self.world.publish(other, key, actor="customer", times=self._rng.choice((1, 1, 2)))
