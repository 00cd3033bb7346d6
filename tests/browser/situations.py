"""Every page that there is, each of an order that came so far."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from services.payments.domain.payment import Payment
from shared.contracts.checkout import CancelOrder
from shared.contracts.payments import RefundPayment
from shared.core.fast_dataclasses import replace
from tests.browser.shop import PayServer, PayShop

BANK = "pm_card_threeDSecure2Required"
EVERYTHING: Mapping[str, Any] = {"tax": 665, "discount": 500, "delivery": 490}
Made = Callable[..., PayShop]


def declined(server: PayServer, **fields: Any) -> PayShop:
    return server.open(**EVERYTHING, **fields)


def to_confirm(server: PayServer, **fields: Any) -> PayShop:
    return server.open(BANK, **fields)


def under_way(server: PayServer, **fields: Any) -> PayShop:
    shop = server.open(**fields)
    shop.holds = True
    shop.again()
    return shop


def cool_down(server: PayServer, **fields: Any) -> PayShop:
    shop = server.open(**fields)
    for _ in range(2):
        shop.again("pm_card_visa_chargeDeclined")
    return shop


def no_try_left(server: PayServer, **fields: Any) -> PayShop:
    return server.open(store={"payment_tries": 1}, **fields)


def paid(server: PayServer, **fields: Any) -> PayShop:
    shop = server.open(**fields)
    shop.again()
    return shop


def refunded(server: PayServer, **fields: Any) -> PayShop:
    shop = paid(server, **fields)
    shop.payment.hear(RefundPayment())
    shop.pump()
    return shop


def expired(server: PayServer, **fields: Any) -> PayShop:
    shop = server.open(**fields)
    shop.pass_time(timedelta(days=8))
    return shop


def cancelled(server: PayServer, **fields: Any) -> PayShop:
    shop = paid(server, **fields)
    shop.hear(CancelOrder())
    return shop


def declined_by_the_store(server: PayServer, **fields: Any) -> PayShop:
    """Checkout declines an order before there is a page: one that had been restored may have one."""
    shop = server.open(**fields)
    shop.payment.put(Payment, shop.payment.key, replace(shop.payment.state, closed_as="declined"))
    return shop


SITUATIONS: Mapping[str, Made] = {
    made.__name__: made
    for made in (
        declined,
        to_confirm,
        under_way,
        cool_down,
        no_try_left,
        paid,
        refunded,
        expired,
        cancelled,
        declined_by_the_store,
    )
}
