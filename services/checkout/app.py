"""Checkout, wired: the only service that changes an order's status."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncEngine

from services.checkout.domain.cores import CORES
from services.checkout.domain.invariants import broken
from services.checkout.domain.order import Order
from services.checkout.gauges import GAUGES
from services.checkout.http import routes
from services.checkout.settings import CheckoutSettings
from services.checkout.storage import STORAGE
from shared.contracts import checkout, fulfillment, notifications, payments, storefront
from shared.shell.service import Invariants, Service


def checkout_service(settings: CheckoutSettings, engine: AsyncEngine) -> Service:
    return Service(
        name="checkout",
        cores=CORES,
        consumes=[
            storefront.CHECKOUTS,
            checkout.COMMANDS,
            payments.EVENTS,
            fulfillment.EVENTS,
            notifications.EVENTS,
        ],
        emits=checkout.EMITS,
        refusal=checkout.CheckoutRefused,
        storage=STORAGE,
        routes=routes,
        gauges=GAUGES,
        invariants=[Invariants(Order, broken)],
    )
