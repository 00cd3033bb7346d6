"""Every page that there is, each of an order that came so far."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from shared.contracts.approval import DeclineOrder
from shared.contracts.checkout import CancelOrder
from shared.contracts.payments import RefundPayment
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


def card(server: PayServer, **fields: Any) -> PayShop:
    return server.request(**EVERYTHING, **fields)


def card_set_up(server: PayServer, **fields: Any) -> PayShop:
    """Nothing is authorised."""
    return server.request(store={"verification": "setup"}, **fields)


def card_to_confirm(server: PayServer, **fields: Any) -> PayShop:
    return server.request(BANK, **fields)


def card_under_way(server: PayServer, **fields: Any) -> PayShop:
    shop = server.request(**fields)
    shop.holds = True
    shop.give()
    return shop


def card_no_try_left(server: PayServer, **fields: Any) -> PayShop:
    shop = server.request(store={"payment_tries": 2}, **fields)
    shop.give("pm_card_chargeDeclinedExpiredCard")
    return shop


def card_verified(server: PayServer, **fields: Any) -> PayShop:
    shop = server.request(**fields)
    shop.give()
    return shop


def request_declined(server: PayServer, **fields: Any) -> PayShop:
    shop = card_verified(server, **fields)
    shop.hear(DeclineOrder())
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
        card,
        card_set_up,
        card_to_confirm,
        card_under_way,
        card_no_try_left,
        card_verified,
        request_declined,
    )
}
