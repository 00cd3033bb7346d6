"""What must hold of an order that can still be paid, or reopened: seen at each decision."""

from __future__ import annotations

from typing import Any

from deploy.simulation.world import World
from services.checkout.domain.order import ChargeState, Order
from services.checkout.domain.tries import tries_left
from services.checkout.storage import storage
from services.fulfillment.domain.delivery import Delivery, StockHold
from shared.contracts.values import OrderStatus
from shared.core import codec

ORDERS = next(table for table in storage.states if table.kind is Order)


class PayableOrders:
    def __init__(self, world: World) -> None:
        self._world = world
        world.watch.observers += [self.stock_is_held, self.a_try_is_left]

    def stock_is_held(self, key: str, before: Any, after: Any) -> str | None:
        if not (isinstance(before, Delivery) and isinstance(after, Delivery)):
            return None
        released = {item.id for item in after.items if item.stock is StockHold.RELEASED}
        if not any(item.stock is StockHold.RESERVED and item.id in released for item in before.items):
            return None
        stored = self._world.stores["checkout"].states(ORDERS).get(key)
        order = codec.load(Order, stored.row.data) if stored and stored.row.data else None
        if order and (order.status is OrderStatus.PENDING_PAYMENT or order.payment_failed):
            return f"the stock of an order was released that is {order.status}, and can be paid or reopened"
        return None

    def a_try_is_left(self, key: str, before: Any, after: Any) -> str | None:
        """Or the order has failed. One that got another amount, or whose time is over, ends by itself."""
        if not isinstance(after, Order) or after.status is not OrderStatus.PENDING_PAYMENT:
            return None
        waits = after.attempts and after.charge is ChargeState.NONE and not after.is_closing and not after.other_amount
        return "an order waits for a payment, but no try is left" if waits and not tries_left(after) else None
