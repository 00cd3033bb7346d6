"""The stock of an order, as fulfillment reports it: an order is charged once its stock is reserved."""

from __future__ import annotations

from services.checkout.domain.cancellation import cancel
from services.checkout.domain.card_verification import RECEIVED, receive, request_verification
from services.checkout.domain.change import OrderChange
from services.checkout.domain.order import Order, orders
from services.checkout.domain.payment import PENDING, complete_payment, request_payment
from shared.contracts.checkout import OrderSupplyLow
from shared.contracts.fulfillment import StockRefused, StockReserved
from shared.contracts.stock import StockLow
from shared.core import Context, Decision

WAITS_FOR_STOCK = (RECEIVED, PENDING)


@orders.on(StockReserved)
def stock_reserved(order: Order, fact: StockReserved, context: Context) -> Decision[Order]:
    change = OrderChange(order, context)
    change.received(fact.type, "Stock reserved.")
    if order.status not in WAITS_FOR_STOCK or order.reserved:
        return change.without_effect(_decided(order))
    change.set(reserved=True)
    if order.status is RECEIVED:
        (receive if order.is_verified else request_verification)(change)
    elif order.purchased == 0:
        complete_payment(change)
    else:
        request_payment(change)
    return change.decision()


@orders.on(StockRefused)
def stock_refused(order: Order, fact: StockRefused, context: Context) -> Decision[Order]:
    change = OrderChange(order, context)
    change.received(fact.type, f"Sold out: {', '.join(fact.skus)}.", skus=list(fact.skus), code="sold_out")
    if order.status not in WAITS_FOR_STOCK or order.reserved:
        return change.without_effect(_decided(order))
    cancel(change, reason="Sold out.", code="sold_out", sold_out=fact.skus)
    return change.decision()


def _decided(order: Order) -> str:
    """Empty: because of the order's status."""
    return "its stock is reserved already" if order.status in WAITS_FOR_STOCK else ""


@orders.on(StockLow)
def stock_low(order: Order, fact: StockLow, context: Context) -> Decision[Order]:
    """It says nothing of the order; staff hear of it."""
    change = OrderChange(order, context)
    text = f"{fact.free} free of SKU {fact.sku}, fewer than {fact.low_stock}. Order more."
    change.publish(OrderSupplyLow(what=f"stock of {fact.product}"[:200], text=text))
    change.set(updated_at=context.at)
    return change.decision()
