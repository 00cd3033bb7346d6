"""What checkout tells for an order's pay page, which payments serves."""

from __future__ import annotations

from datetime import datetime

from services.checkout.domain.order import Order, required
from services.checkout.domain.tries import tries_left
from shared.contracts.pay_page import PayLine, PayPage


def page_of(order: Order, key: str, until: datetime | None = None, left: int | None = None) -> PayPage:
    """`until` and `left`: till when and how often another card can be given. Without them how it can be paid: raises
    where the order has no deadline."""
    return PayPage(
        number=order.number,
        store=order.store.name,
        support=order.store.support_email,
        order_url=order.page(key),
        lines=tuple(
            PayLine(product=line.item.product, quantity=line.item.quantity, amount=line.item.line_total)
            for line in order.lines
        ),
        subtotal=order.subtotal,
        discount=order.discount,
        tax=order.tax,
        amount=order.purchased,
        until=until or required(order.deadline, "deadline"),
        attempts=order.attempts,
        tries_left=tries_left(order) if left is None else left,
        providers=order.payment_providers,
        prices_include_tax=order.prices_include_tax,
        retry_after=order.retry_after,
        locale=order.locale,
        time_zone=order.store.time_zone,
        languages=order.store.languages or (),
    )
