"""The usual way's notifications: mails, feed entries and webhooks, sent while the fact is handled."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from deploy.client.storefront import uuid7
from shared.contracts import checkout
from shared.contracts.checkout import OrderCompleted, OrderItemsDelivered, OrderPaid, OrderPlaced
from shared.contracts.notifications import EmailSent, WebhookDelivered
from shared.core.money import decimal_string
from tests.benchmarks.usual_way import outside
from tests.benchmarks.usual_way.messaging import Handlers, Incoming
from tests.benchmarks.usual_way.tables import Base

TOPICS = [checkout.ORDERS]
EVENTS = {
    "placed": ("order.created", "order.updated"),
    "paid": ("order.received", "order.updated"),
    "completed": ("order.completed", "order.updated"),
}


class Endpoint(Base):
    __tablename__ = "endpoints"

    store: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    url: Mapped[str]
    events: Mapped[list[str]] = mapped_column(sa.ARRAY(sa.Text))


class Thread(Base):
    __tablename__ = "threads"

    order_id: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[str]
    store: Mapped[dict[str, Any]]
    customer: Mapped[dict[str, Any]]
    lines: Mapped[list[dict[str, Any]]] = mapped_column(sa.JSON)
    currency: Mapped[str]
    purchased: Mapped[int]


class Mail(Base):
    __tablename__ = "mails"

    message_id: Mapped[str] = mapped_column(primary_key=True)
    order_id: Mapped[str] = mapped_column(index=True)
    template: Mapped[str]
    recipient: Mapped[str]
    subject: Mapped[str]
    state: Mapped[str]
    at: Mapped[datetime]


class WebhookDelivery(Base):
    __tablename__ = "webhook_deliveries"

    message_id: Mapped[str] = mapped_column(primary_key=True)
    order_id: Mapped[str] = mapped_column(index=True)
    endpoint: Mapped[str]
    event: Mapped[str]
    payload: Mapped[str]
    state: Mapped[str]
    at: Mapped[datetime]


class FeedEntry(Base):
    __tablename__ = "feed_entries"

    id: Mapped[int] = mapped_column(sa.Identity(always=True), primary_key=True)
    recipient: Mapped[str] = mapped_column(index=True)
    order_id: Mapped[str]
    kind: Mapped[str]
    title: Mapped[str]
    at: Mapped[datetime]


async def placed(message: OrderPlaced, incoming: Incoming) -> None:
    lines = [
        {"product_name": i.product, "quantity": i.quantity, "price": decimal_string(i.unit_price, message.currency)}
        for i in message.items
    ]
    thread = Thread(
        order_id=incoming.key,
        number=message.number,
        store=message.store.model_dump(mode="json"),
        customer=message.customer.model_dump(mode="json"),
        lines=lines,
        currency=message.currency,
        purchased=message.purchased,
    )
    incoming.session.add(thread)
    feed(thread, incoming, customer_of(thread), "order_placed", f"Order {thread.number} received")
    await post(thread, incoming, "placed")


async def paid(message: OrderPaid, incoming: Incoming) -> None:
    thread = await incoming.session.get(Thread, incoming.key, with_for_update=True)
    if thread is None:
        return
    feed(thread, incoming, customer_of(thread), "order_paid", f"Order {thread.number} is paid")
    feed(thread, incoming, f"{thread.store['id']}~staff", "new_order", f"New order {thread.number}")
    await mail(thread, incoming, "order_confirmation", f"Your order {thread.number}")
    await mail(thread, incoming, "new_order", f"New order {thread.number}", staff=True)
    await post(thread, incoming, "paid")


async def delivered(message: OrderItemsDelivered, incoming: Incoming) -> None:
    thread = await incoming.session.get(Thread, incoming.key, with_for_update=True)
    if thread is None:
        return
    feed(thread, incoming, customer_of(thread), "delivered", f"Order {thread.number}: your purchase is ready")
    await mail(thread, incoming, "delivery", f"Your purchase is ready: order {thread.number}")


async def completed(message: OrderCompleted, incoming: Incoming) -> None:
    thread = await incoming.session.get(Thread, incoming.key, with_for_update=True)
    if thread is None:
        return
    feed(thread, incoming, customer_of(thread), "order_completed", f"Order {thread.number} is complete")
    await post(thread, incoming, "completed")


HANDLERS: Handlers = {OrderPlaced: placed, OrderPaid: paid, OrderItemsDelivered: delivered, OrderCompleted: completed}


async def mail(thread: Thread, incoming: Incoming, template: str, subject: str, *, staff: bool = False) -> None:
    identity = f"<{uuid7().hex}@shop.example>"
    await outside.answer()
    incoming.session.add(
        Mail(
            message_id=identity,
            order_id=thread.order_id,
            template=template,
            recipient=thread.store["staff_email"] if staff else thread.customer["email"],
            subject=subject,
            state="sent",
            at=incoming.at,
        )
    )
    incoming.emit(EmailSent(message=identity, template=template, audience="staff" if staff else "customer"))


async def post(thread: Thread, incoming: Incoming, fact: str) -> None:
    endpoints = await incoming.session.scalars(sa.select(Endpoint).where(Endpoint.store == thread.store["id"]))
    for endpoint in endpoints.all():
        for event in EVENTS[fact]:
            if event in endpoint.events:
                await post_one(thread, incoming, endpoint, event)


async def post_one(thread: Thread, incoming: Incoming, endpoint: Endpoint, event: str) -> None:
    identity = f"msg_{uuid7().hex}"
    data = {
        "order_number": thread.number,
        "customer_email": thread.customer["email"],
        "total": decimal_string(thread.purchased, thread.currency),
        "currency": thread.currency,
        "items": thread.lines,
    }
    payload = json.dumps({"event": event, "timestamp": incoming.at.isoformat(), "data": data})
    await outside.answer()
    incoming.session.add(
        WebhookDelivery(
            message_id=identity,
            order_id=thread.order_id,
            endpoint=endpoint.id,
            event=event,
            payload=payload,
            state="delivered",
            at=incoming.at,
        )
    )
    incoming.emit(WebhookDelivered(message=identity, endpoint=endpoint.id, event=event, attempts=1))


def feed(thread: Thread, incoming: Incoming, recipient: str, kind: str, title: str) -> None:
    incoming.session.add(
        FeedEntry(recipient=recipient, order_id=thread.order_id, kind=kind, title=title, at=incoming.at)
    )


def customer_of(thread: Thread) -> str:
    return f"{thread.store['id']}~customer~{thread.customer.get('id') or thread.customer['email']}"
