"""The usual way's fulfillment: stock and deliveries."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship, selectinload

from shared.contracts import checkout
from shared.contracts.checkout import OrderPaid, OrderPlaced
from shared.contracts.fulfillment import ItemDelivered, ItemWaiting, StockRefused, StockReserved
from shared.contracts.values import Instructions
from tests.benchmarks.usual_way import outside
from tests.benchmarks.usual_way.messaging import Handlers, Incoming
from tests.benchmarks.usual_way.tables import Base

TOPICS = [checkout.ORDERS]


class Product(Base):
    __tablename__ = "products"

    store: Mapped[str] = mapped_column(primary_key=True)
    sku: Mapped[str] = mapped_column(primary_key=True)
    action: Mapped[dict[str, Any]]
    track_stock: Mapped[bool]


class Stock(Base):
    __tablename__ = "stock"
    __table_args__ = (sa.CheckConstraint("0 <= reserved and reserved <= on_hand"),)

    store: Mapped[str] = mapped_column(primary_key=True)
    sku: Mapped[str] = mapped_column(primary_key=True)
    on_hand: Mapped[int]
    reserved: Mapped[int]


class DeliveryItem(Base):
    __tablename__ = "delivery_items"

    order_id: Mapped[str] = mapped_column(sa.ForeignKey("deliveries.order_id"), primary_key=True)
    item: Mapped[str] = mapped_column(primary_key=True)
    sku: Mapped[str]
    quantity: Mapped[int]
    status: Mapped[str]


class Delivery(Base):
    __tablename__ = "deliveries"

    order_id: Mapped[str] = mapped_column(primary_key=True)
    store: Mapped[str]
    stage: Mapped[str]
    customer: Mapped[dict[str, Any]]
    changed_at: Mapped[datetime]
    items: Mapped[list[DeliveryItem]] = relationship(order_by=DeliveryItem.item)


async def placed(message: OrderPlaced, incoming: Incoming) -> None:
    session, store = incoming.session, message.store.id
    products = await products_of(incoming, store, {item.sku for item in message.items})
    tracked = sorted({item.sku for item in message.items if products[item.sku].track_stock})
    stock = {}
    if tracked:
        rows = sa.select(Stock).where(Stock.store == store, Stock.sku.in_(tracked)).order_by(Stock.sku)
        stock = {row.sku: row for row in await session.scalars(rows.with_for_update())}
    for item in message.items:
        if item.sku in tracked:
            row = stock.get(item.sku)
            if row is None or row.on_hand - row.reserved < item.quantity:
                incoming.emit(StockRefused(skus=(item.sku,)))
                return
            row.reserved += item.quantity
    session.add(
        Delivery(
            order_id=incoming.key,
            store=store,
            stage="reserved",
            customer=message.customer.model_dump(mode="json"),
            changed_at=incoming.at,
            items=[
                DeliveryItem(item=item.item, sku=item.sku, quantity=item.quantity, status="pending")
                for item in message.items
            ],
        )
    )
    incoming.emit(StockReserved())


async def paid(message: OrderPaid, incoming: Incoming) -> None:
    session = incoming.session
    delivery = await session.get(Delivery, incoming.key, with_for_update=True, options=[selectinload(Delivery.items)])
    if delivery is None or delivery.stage != "reserved":
        return
    delivery.stage, delivery.changed_at = "delivering", incoming.at
    products = await products_of(incoming, delivery.store, {item.sku for item in delivery.items})
    left = len(delivery.items)
    for item in delivery.items:
        left -= 1
        instructions = await deliver(products[item.sku].action, incoming.key, item.item)
        if instructions is None:
            item.status = "waiting"
            incoming.emit(ItemWaiting(item=item.item, code="shipment", text="A parcel is to be sent.", under_way=left))
            continue
        item.status = "delivered"
        incoming.emit(ItemDelivered(item=item.item, instructions=instructions, under_way=left))
    if all(item.status == "delivered" for item in delivery.items):
        delivery.stage = "delivered"


async def deliver(action: dict[str, Any], order: str, item: str) -> Instructions | None:
    """None: staff must ship a parcel."""
    if action["kind"] == "shipment":
        return None
    await outside.answer()
    if action["kind"] == "download":
        return Instructions(kind="download", link=outside.link(order, item))
    if action["kind"] == "code":
        return Instructions(kind="code", code=outside.code(order, item))
    return Instructions(kind="course", link=action["enter"])


async def products_of(incoming: Incoming, store: str, skus: set[str]) -> dict[str, Product]:
    rows = await incoming.session.scalars(sa.select(Product).where(Product.store == store, Product.sku.in_(skus)))
    return {row.sku: row for row in rows}


HANDLERS: Handlers = {OrderPlaced: placed, OrderPaid: paid}
