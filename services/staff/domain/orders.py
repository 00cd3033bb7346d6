"""Orders as staff list and search them, from `order.status`."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from services.staff.domain.order_adds import of_order
from services.staff.domain.projection import PROJECTION, facets
from shared.contracts.order_status import OrderStatusRecord
from shared.core.projection import About, Row, Shown


class OrderRow(Row):
    """What lists of orders show and sort by. Amounts in minor units of `currency`."""

    order_id: str
    order_revision: int = 0
    store: str = ""
    number: str = ""
    status: str = ""
    shown_status: str = ""
    """What to show in place of the status: `refunded` after a partial refund, where the store wants it."""
    status_word: str | None = None
    """What the store calls it."""
    payment_status: str = ""
    fulfilment_status: str = ""
    currency: str = ""
    subtotal: int = 0
    """Of the lines: before discounts, and before tax unless prices include it."""
    discount: int = 0
    tax: int = 0
    total: int = 0
    """What is to be paid."""
    paid: int | None = None
    refunded: int = 0
    customer_name: str | None = None
    email: str | None = None
    """In lower case: of two that differ in case only, one mailbox is meant."""
    account: str | None = None
    """The storefront's id for the customer."""
    country: str | None = None
    source: str | None = None
    offer: str | None = None
    item_count: int = 0
    """How many units of products."""
    held: str | None = None
    """Why it is held for verification."""
    asked: str | None = None
    """What the customer asks for, and staff have not answered: `cancel`, `refund`."""
    created_at: datetime | None = None
    placed_at: datetime | None = None
    paid_at: datetime | None = None
    completed_at: datetime | None = None
    closed_at: datetime | None = None
    updated_at: datetime | None = None
    deadline: datetime | None = None
    erased_at: datetime | None = None
    """When its customer's personal data was erased."""
    order_facets: tuple[str, ...] = ()
    order_adds: dict[str, Any] | None = None
    """What it adds to the sums by day."""


class OrderSearchRow(Row):
    """What a search for a piece of text looks through."""

    order_id: str
    texts: tuple[str, ...]


class OrderItemRow(Row):
    """A line of an order. Amounts in minor units."""

    order_id: str
    item: str
    store: str
    sku: str
    product: str
    kind: str
    quantity: int
    purchased: int
    refunded: int
    delivery: str


class OrderRecordRow(Row):
    """The record as it was sent."""

    order_id: str
    body: bytes


@PROJECTION.shows(OrderStatusRecord, blank=OrderRow)
def order(record: OrderStatusRecord, about: About) -> Shown:
    key, customer = about.key, record.customer
    products = [item for item in record.items if not item.is_delivery_charge]
    row = OrderRow(
        order_id=key,
        order_revision=record.revision,
        store=record.store,
        number=record.number,
        status=record.status,
        shown_status=record.display_status or record.status,
        status_word=record.status_word,
        payment_status=record.payment_status,
        fulfilment_status=record.fulfilment_status,
        currency=record.currency,
        subtotal=record.subtotal,
        discount=record.discount,
        tax=record.tax,
        total=record.purchased,
        paid=record.paid,
        refunded=record.refunded,
        customer_name=customer.name if customer else None,
        email=_email(record),
        account=customer.id if customer else None,
        country=record.country,
        source=record.source,
        offer=record.offer,
        item_count=sum(item.quantity for item in products),
        held=record.held,
        asked=record.asked.wants if record.asked else None,
        created_at=record.created_at,
        placed_at=record.placed_at,
        paid_at=record.paid_at,
        completed_at=record.completed_at,
        closed_at=record.closed_at,
        updated_at=record.updated_at,
        deadline=record.deadline,
        erased_at=record.erased_at,
        order_facets=_facets(record),
        order_adds=of_order(record),
    )
    items = [
        OrderItemRow(
            order_id=key,
            item=item.item,
            store=record.store,
            sku=item.sku,
            product=item.product,
            kind=item.kind,
            quantity=item.quantity,
            purchased=item.purchased,
            refunded=item.refunded,
            delivery=item.delivery,
        )
        for item in record.items
    ]
    texts = (record.number, customer.name if customer else None, _email(record))
    search = OrderSearchRow(key, tuple(text for text in texts if text))
    return Shown(row, [*items, search, OrderRecordRow(key, about.body)])


def _email(record: OrderStatusRecord) -> str | None:
    found = record.customer.email if record.customer else record.opened.email if record.opened else None
    return found.lower() if found else None


def _facets(record: OrderStatusRecord) -> tuple[str, ...]:
    single = facets(
        store=record.store,
        status=record.status,
        payment=record.payment_status,
        fulfilment=record.fulfilment_status,
        country=record.country,
        currency=record.currency,
        source=record.source,
        offer=record.offer,
        held="yes" if record.held else None,
        given="yes" if record.given else None,
        asked=record.asked.wants if record.asked else None,
    )
    tags = [f"tag:{tag}" for tag in record.tags]
    skus = [f"sku:{item.sku}" for item in record.items]
    codes = [f"discount:{discount.code}" for discount in record.discounts]
    return tuple(dict.fromkeys((*single, *tags, *skus, *codes)))
