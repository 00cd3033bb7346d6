"""What opened checkouts tell, and how long the simulated store keeps it of those that are never submitted."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from deploy.check.evidence import Findings
from deploy.simulation.evidence import Broken
from deploy.simulation.world import World
from services.checkout.domain.order import Order
from shared.contracts.storefront import CheckoutOpened, Source

DAYS = (None, 1, 1, 3)
"""One day is as long as a checkout stays open."""
TOLD = {"email": "buyer@mail.example", "country": "US", "origin": Source(client_ip="192.0.2.7")}


def kept_for(world: World) -> timedelta | None:
    days = world.rng_of("kept").choice(DAYS)
    return timedelta(days=days) if days else None


def opened(store: str, currency: str) -> CheckoutOpened:
    return CheckoutOpened(store=store, currency=currency).model_copy(update=TOLD)


def abandoned_erased(world: World, found: Findings) -> Iterator[Broken]:
    """At rest all time is over."""
    kept = kept_for(world)
    for key, order in found.of(Order).items():
        told = order.opened.email if order.opened else None
        left = told or order.country or order.origin.client_ip
        if kept and order.placed_at is None and left:
            yield "abandoned_erased", key, f"{left} is kept of a checkout that was never submitted"
