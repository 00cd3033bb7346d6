"""What runs low where an order took from it: told as a fact of the order, for its readers read one topic (ADR 9)."""

from __future__ import annotations

from datetime import timedelta

from services.checkout.domain.change import OrderChange
from services.checkout.domain.order import Order, orders
from services.checkout.domain.timeline import counted
from shared.contracts.checkout import OrderSupplyLow
from shared.contracts.codes import PoolLow
from shared.core import Context, Decision


@orders.on(PoolLow)
def pool_low(order: Order, fact: PoolLow, context: Context) -> Decision[Order]:
    change = OrderChange(order, context)
    days = (context.at - fact.since) // timedelta(days=1)
    age = f", for {counted(days, 'day')} now" if days > 0 else ""
    waits = f" Orders wait for it: {fact.waiting}." if fact.waiting else ""
    text = f"{counted(fact.left, 'code')} left, fewer than {fact.low_water}{age}.{waits} Import more."
    what = f"pool {fact.name}"[:200]
    change.set(updated_at=context.at)
    change.publish(OrderSupplyLow(what=what, text=text))
    return change.decision()
