"""The usual way's checkout: orders and their lines, by the ORM."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload

from services.checkout.domain.numbers import order_number
from shared.contracts import fulfillment, notifications, payments, storefront
from shared.contracts.checkout import (
    CheckoutRefused,
    DeliveredItem,
    OrderCancelled,
    OrderCompleted,
    OrderCreated,
    OrderItemsDelivered,
    OrderPaid,
    OrderPaymentDeclined,
    OrderPaymentRequested,
    OrderPlaced,
    OrderStatusRecord,
    StatusItem,
)
from shared.contracts.fulfillment import ItemDelivered, StockRefused, StockReserved
from shared.contracts.notifications import EmailSent, WebhookDelivered
from shared.contracts.payments import PaymentCaptured, PaymentDeclined
from shared.contracts.storefront import CheckoutOpened, CheckoutSubmitted
from shared.contracts.values import (
    Customer,
    DeliveryStatus,
    FulfilmentStatus,
    Instructions,
    OrderStatus,
    PaymentStatus,
    StoreCard,
)
from shared.core import Problem
from shared.core.money import allocate
from tests.benchmarks.usual_way.messaging import Handlers, Incoming
from tests.benchmarks.usual_way.order_tables import Line, Order, Sku, Store, TimelineEntry

TOPICS = [storefront.CHECKOUTS, payments.EVENTS, fulfillment.EVENTS, notifications.EVENTS]


async def opened(message: CheckoutOpened, incoming: Incoming) -> None:
    session = incoming.session
    store = await session.get(Store, message.store)
    if store is None or message.currency not in store.currencies:
        refuse(incoming, CheckoutOpened.type, [Problem(field="store", code="unknown_store", text="No such store.")])
        return
    order = new_order(incoming, message.store, message.currency)
    order.country = message.country
    session.add(order)
    incoming.emit(OrderCreated(number=order.number, store=order.store, currency=order.currency))
    changed(order, incoming, "order.created", "A checkout page was opened.")


async def submitted(message: CheckoutSubmitted, incoming: Incoming) -> None:
    session = incoming.session
    order = await locked(session, incoming.key)
    store = await session.get(Store, message.store)
    wanted = sorted({item.sku for item in message.items})
    found = await session.scalars(sa.select(Sku).where(Sku.store == message.store, Sku.sku.in_(wanted)))
    skus = {sku.sku: sku for sku in found}
    problems = problems_of(message, order, store, skus)
    if problems or store is None:
        refuse(incoming, CheckoutSubmitted.type, problems)
        return
    if order is None:
        order = new_order(incoming, message.store, message.currency)
        session.add(order)
        incoming.emit(OrderCreated(number=order.number, store=order.store, currency=order.currency))
    place(order, message, skus, incoming.at)
    incoming.emit(order_placed(order, message, store))
    changed(order, incoming, "order.placed", f"Placed: {len(order.lines)} items. Its stock is wanted.")


def problems_of(
    message: CheckoutSubmitted, order: Order | None, store: Store | None, skus: dict[str, Sku]
) -> list[Problem]:
    problems = []
    if order is not None and order.status != OrderStatus.CREATED:
        problems.append(Problem(field="", code="already_submitted", text="This order is placed already."))
    if store is None:
        problems.append(Problem(field="store", code="unknown_store", text="There is no such store."))
    for index, item in enumerate(message.items):
        sku = skus.get(item.sku)
        if sku is None:
            problems.append(Problem(field=f"items.{index}.sku", code="unknown_sku", text="There is no such SKU."))
        elif sku.prices.get(message.currency) != item.unit_price:
            problems.append(Problem(field=f"items.{index}.unit_price", code="wrong_price", text="Another price."))
        elif sku.shippable and message.shipping is None:
            problems.append(Problem(field="shipping", code="address_missing", text="An item is shipped: where to?"))
    discount = sum(reduction.amount for reduction in message.discounts)
    if message.subtotal != sum(item.quantity * item.unit_price for item in message.items):
        problems.append(Problem(field="subtotal", code="wrong_sum", text="Not the sum of the lines."))
    added = 0 if message.prices_include_tax else message.tax
    if message.total != message.subtotal + added or message.purchased != message.total - discount:
        problems.append(Problem(field="total", code="wrong_sum", text="Not the sum of its parts."))
    return problems


def place(order: Order, message: CheckoutSubmitted, skus: dict[str, Sku], at: datetime) -> None:
    included = message.prices_include_tax
    worth = [item.quantity * item.unit_price + (0 if included else item.tax or 0) for item in message.items]
    shares = allocate(message.purchased, worth)
    order.status = OrderStatus.PENDING_PAYMENT
    order.customer = message.customer.model_dump(mode="json")
    order.email = message.customer.email.lower()
    order.subtotal, order.tax, order.total = message.subtotal, message.tax, message.total
    order.purchased = message.purchased
    order.payment_method = message.payment.payment_method
    order.placed_at = at
    order.lines = [
        Line(
            item=str(number),
            sku=item.sku,
            product=skus[item.sku].product,
            quantity=item.quantity,
            unit_price=item.unit_price,
            purchased=share,
            shippable=skus[item.sku].shippable,
            delivery="pending",
        )
        for number, (item, share) in enumerate(zip(message.items, shares, strict=True), start=1)
    ]


def order_placed(order: Order, message: CheckoutSubmitted, store: Store) -> OrderPlaced:
    return OrderPlaced(
        number=order.number,
        store=StoreCard.model_validate(store.card),
        customer=message.customer,
        items=tuple(line.as_item() for line in order.lines),
        currency=order.currency,
        subtotal=order.subtotal,
        discount=order.total - order.purchased,
        tax=order.tax,
        total=order.total,
        purchased=order.purchased,
        discounts=message.discounts,
        taxes=message.taxes,
        billing=message.billing,
        shipping=message.shipping,
        country=message.country,
        locale=message.locale,
    )


async def reserved(message: StockReserved, incoming: Incoming) -> None:
    order = await locked(incoming.session, incoming.key)
    if order is None or order.status != OrderStatus.PENDING_PAYMENT or order.attempts:
        return
    order.attempts = 1
    assert order.email is not None
    incoming.emit(
        OrderPaymentRequested(
            attempt=order.attempts,
            number=order.number,
            store=order.store,
            amount=order.purchased,
            currency=order.currency,
            items=tuple(line.as_item() for line in order.lines),
            customer_email=order.email,
            return_url=f"https://shop.example/orders/{order.id}",
            payment_method=order.payment_method,
        )
    )
    changed(order, incoming, message.type, "Stock reserved.")


async def sold_out(message: StockRefused, incoming: Incoming) -> None:
    order = await locked(incoming.session, incoming.key)
    if order is None or order.status != OrderStatus.PENDING_PAYMENT:
        return
    order.status, order.closed_at = OrderStatus.CANCELLED, incoming.at
    incoming.emit(OrderCancelled(code="sold_out", reason="Sold out.", sold_out=message.skus))
    changed(order, incoming, message.type, "Sold out.")


async def captured(message: PaymentCaptured, incoming: Incoming) -> None:
    order = await locked(incoming.session, incoming.key)
    if order is None or order.status != OrderStatus.PENDING_PAYMENT:
        return
    order.status, order.payment_status, order.paid_at = OrderStatus.PROCESSING, PaymentStatus.PAID, incoming.at
    incoming.emit(OrderPaid(amount=message.amount, currency=message.currency, card=message.card))
    note(order, incoming, message.type, f"{message.amount} {message.currency} captured.")
    changed(order, incoming, "order.paid", "Paid in full: delivery begins.")


async def declined(message: PaymentDeclined, incoming: Incoming) -> None:
    order = await locked(incoming.session, incoming.key)
    if order is None or order.status != OrderStatus.PENDING_PAYMENT:
        return
    order.payment_status = PaymentStatus.FAILED
    url = f"https://shop.example/orders/{order.id}"
    decline = OrderPaymentDeclined(
        attempt=message.attempt, code=message.code, text=message.text, url=url, until=incoming.at
    )
    incoming.emit(decline)
    changed(order, incoming, message.type, f"Attempt {message.attempt} was declined.")


async def delivered(message: ItemDelivered, incoming: Incoming) -> None:
    order = await locked(incoming.session, incoming.key)
    line = next((line for line in order.lines if line.item == message.item), None) if order else None
    if order is None or line is None or order.status != OrderStatus.PROCESSING:
        return
    line.delivery = DeliveryStatus.DELIVERED
    line.instructions = message.instructions.model_dump(mode="json")
    note(order, incoming, message.type, f"{line.product} was delivered.")
    if message.under_way == 0:
        incoming.emit(OrderItemsDelivered(items=tuple(told(order.lines))))
    if all(line.delivery == DeliveryStatus.DELIVERED for line in order.lines):
        order.status, order.completed_at = OrderStatus.COMPLETED, incoming.at
        incoming.emit(OrderCompleted())
        note(order, incoming, "order.completed", "Every item is delivered.")
    order.revision += 1
    incoming.emit(status_record(order, incoming.at))


def told(lines: Sequence[Line]) -> list[DeliveredItem]:
    return [
        DeliveredItem(
            item=line.item,
            product=line.product,
            quantity=line.quantity,
            instructions=Instructions.model_validate(line.instructions, strict=False),
        )
        for line in lines
        if line.instructions
    ]


async def mail_sent(message: EmailSent, incoming: Incoming) -> None:
    incoming.session.add(entry(incoming, message.type, f"Mail to {message.audience}: {message.template}."))


async def webhook_delivered(message: WebhookDelivered, incoming: Incoming) -> None:
    text = f"Webhook {message.endpoint} took {message.event} (attempts: {message.attempts})."
    incoming.session.add(entry(incoming, message.type, text))


HANDLERS: Handlers = {
    CheckoutOpened: opened,
    CheckoutSubmitted: submitted,
    StockReserved: reserved,
    StockRefused: sold_out,
    PaymentCaptured: captured,
    PaymentDeclined: declined,
    ItemDelivered: delivered,
    EmailSent: mail_sent,
    WebhookDelivered: webhook_delivered,
}


async def locked(session: AsyncSession, key: str) -> Order | None:
    return await session.get(Order, key, with_for_update=True, options=[selectinload(Order.lines)])


def new_order(incoming: Incoming, store: str, currency: str) -> Order:
    return Order(
        id=incoming.key,
        number=order_number(incoming.key),
        store=store,
        status=OrderStatus.CREATED,
        payment_status=PaymentStatus.PENDING,
        revision=0,
        currency=currency,
        subtotal=0,
        tax=0,
        total=0,
        purchased=0,
        attempts=0,
        created_at=incoming.at,
        lines=[],
    )


def changed(order: Order, incoming: Incoming, what: str, text: str) -> None:
    order.revision += 1
    note(order, incoming, what, text)
    incoming.emit(status_record(order, incoming.at))


def note(order: Order, incoming: Incoming, what: str, text: str) -> None:
    incoming.session.add(entry(incoming, what, text))


def entry(incoming: Incoming, what: str, text: str) -> TimelineEntry:
    return TimelineEntry(order_id=incoming.key, at=incoming.at, actor="system", what=what, text=text)


def refuse(incoming: Incoming, command: str, problems: list[Problem]) -> None:
    incoming.emit(
        CheckoutRefused(
            command=command,
            command_id=str(incoming.envelope.id),
            code="invalid_submission",
            text="The checkout is invalid.",
            problems=tuple(problems),
        )
    )


def status_record(order: Order, at: datetime) -> OrderStatusRecord:
    done = bool(order.lines) and all(line.delivery == DeliveryStatus.DELIVERED for line in order.lines)
    items = tuple(
        StatusItem(**line.as_item().model_dump(), delivery=DeliveryStatus(line.delivery)) for line in order.lines
    )
    return OrderStatusRecord(
        number=order.number,
        store=order.store,
        status=OrderStatus(order.status),
        payment_status=PaymentStatus(order.payment_status),
        fulfilment_status=FulfilmentStatus.FULFILLED if done else FulfilmentStatus.UNFULFILLED,
        revision=order.revision,
        currency=order.currency,
        created_at=order.created_at,
        updated_at=at,
        customer=Customer.model_validate(order.customer) if order.customer else None,
        subtotal=order.subtotal,
        discount=order.total - order.purchased,
        tax=order.tax,
        total=order.total,
        purchased=order.purchased,
        items=items,
        placed_at=order.placed_at,
        paid_at=order.paid_at,
        completed_at=order.completed_at,
        closed_at=order.closed_at,
        country=order.country,
    )
