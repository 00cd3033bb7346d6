"""The order's record on `orders.status.v1`: whole, as it is now, for any staff tool."""

from __future__ import annotations

from services.checkout.domain.order import Order
from shared.contracts.checkout import OrderStatusRecord, StatusExtra, StatusItem
from shared.core.quick_models import build, extend


def status_record(order: Order) -> OrderStatusRecord:
    return build(
        OrderStatusRecord,
        number=order.number,
        store=order.store.id,
        status=order.status,
        payment_status=order.payment_status,
        fulfilment_status=order.fulfilment_status,
        revision=order.revision,
        currency=order.currency,
        created_at=order.created_at,
        updated_at=order.updated_at,
        customer=order.customer,
        subtotal=order.subtotal,
        discount=order.discount,
        tax=order.tax,
        total=order.total,
        purchased=order.purchased,
        prices_include_tax=order.prices_include_tax,
        refunded=order.refunded,
        items=tuple(
            extend(StatusItem, line.item, delivery=line.delivery, refunded=line.refunded) for line in order.lines
        ),
        extras=tuple(build(StatusExtra, id=it.id, name=it.title, delivery=it.delivery) for it in order.extras),
        pay_url=order.pay_url,
        message=order.message,
        placed_at=order.placed_at,
        paid_at=order.paid_at,
        completed_at=order.completed_at,
        closed_at=order.closed_at,
        country=order.country,
        source=order.origin.source,
        tags=order.origin.tags,
        display_status=order.display_status if order.display_status is not order.status else None,
        status_word=order.status_word,
        held=order.held,
        paid=order.paid if order.placed_at else None,
        paid_elsewhere=order.elsewhere,
        given=order.given,
        restored=order.restored_amount,
    )
