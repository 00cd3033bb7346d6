"""The order's record on `orders.status.v1`: whole, as it is now, for any staff tool."""

from __future__ import annotations

from typing import Any

from services.checkout.domain.order import Order
from services.checkout.domain.order_records import BillingDetails
from shared.contracts.checkout import OrderStatusRecord, StatusExtra, StatusItem
from shared.contracts.order_status import StatusAsked, StatusOpened
from shared.contracts.values import UNPAID
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
        items=_items(order),
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
        discounts=order.discounts,
        taxes=order.taxes,
        billing=order.billing,
        shipping=order.shipping,
        offer=order.offer,
        locale=order.locale,
        link=order.origin.link,
        analytics_consent=order.origin.analytics_consent,
        terms_accepted_at=order.terms_accepted_at,
        deadline=order.deadline,
        notes=order.notes,
        messages=order.messages,
        asked=_asked(order),
        opened=_opened(order),
        retry_after=order.retry_after if order.status in UNPAID else None,
        client_ip=order.origin.client_ip if order.placed_at else None,
        erased_at=order.erased_at,
        **_details(order.details),
    )


def _details(details: BillingDetails) -> dict[str, Any]:
    return {
        "company": details.company,
        "vat_number": details.vat_number,
        "billing_fields": details.fields,
        "purchaser_role": details.purchaser_role,
        "terms": details.terms,
    }


def _asked(order: Order) -> StatusAsked | None:
    asked = order.asked
    return build(StatusAsked, wants=asked.wants, text=asked.text, at=asked.at) if asked else None


def _opened(order: Order) -> StatusOpened | None:
    opened = order.opened if order.placed_at is None else None
    return build(StatusOpened, email=opened.email, items=opened.items) if opened else None


def _items(order: Order) -> tuple[StatusItem, ...]:
    lines = order.lines
    return tuple(extend(StatusItem, line.item, delivery=line.delivery, refunded=line.refunded) for line in lines)
