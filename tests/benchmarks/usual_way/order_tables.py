"""The ORM tables of the usual way's checkout: stores, SKUs, orders and their lines, the timeline."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from shared.contracts.values import OrderItem
from tests.benchmarks.usual_way.tables import Base


class Store(Base):
    __tablename__ = "stores"

    id: Mapped[str] = mapped_column(primary_key=True)
    card: Mapped[dict[str, Any]]
    currencies: Mapped[list[str]] = mapped_column(sa.ARRAY(sa.Text))
    grace: Mapped[int]
    """Seconds."""


class Sku(Base):
    __tablename__ = "skus"

    store: Mapped[str] = mapped_column(primary_key=True)
    sku: Mapped[str] = mapped_column(primary_key=True)
    product: Mapped[str]
    prices: Mapped[dict[str, Any]]
    shippable: Mapped[bool]


class Line(Base):
    __tablename__ = "order_lines"

    order_id: Mapped[str] = mapped_column(sa.ForeignKey("orders.id"), primary_key=True)
    item: Mapped[str] = mapped_column(primary_key=True)
    sku: Mapped[str]
    product: Mapped[str]
    quantity: Mapped[int]
    unit_price: Mapped[int]
    purchased: Mapped[int]
    shippable: Mapped[bool]
    delivery: Mapped[str] = mapped_column(default="pending")
    instructions: Mapped[dict[str, Any] | None]

    def as_item(self) -> OrderItem:
        return OrderItem(
            item=self.item,
            sku=self.sku,
            product=self.product,
            quantity=self.quantity,
            unit_price=self.unit_price,
            line_total=self.quantity * self.unit_price,
            purchased=self.purchased,
            shippable=self.shippable,
        )


class Order(Base):
    __tablename__ = "orders"
    __table_args__ = (
        sa.Index("orders_newest", "created_at", "id"),
        sa.Index("orders_by_status", "status", "created_at", "id"),
        sa.Index("orders_by_email", "email"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[str] = mapped_column(unique=True)
    store: Mapped[str]
    status: Mapped[str]
    payment_status: Mapped[str] = mapped_column(default="pending")
    revision: Mapped[int] = mapped_column(default=0)
    currency: Mapped[str]
    email: Mapped[str | None]
    customer: Mapped[dict[str, Any] | None]
    subtotal: Mapped[int] = mapped_column(default=0)
    tax: Mapped[int] = mapped_column(default=0)
    total: Mapped[int] = mapped_column(default=0)
    purchased: Mapped[int] = mapped_column(default=0)
    payment_method: Mapped[str | None]
    attempts: Mapped[int] = mapped_column(default=0)
    country: Mapped[str | None]
    created_at: Mapped[datetime]
    placed_at: Mapped[datetime | None]
    paid_at: Mapped[datetime | None]
    completed_at: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]
    lines: Mapped[list[Line]] = relationship(order_by=Line.item)


class TimelineEntry(Base):
    __tablename__ = "timeline"

    id: Mapped[int] = mapped_column(sa.Identity(always=True), primary_key=True)
    order_id: Mapped[str] = mapped_column(index=True)
    at: Mapped[datetime]
    actor: Mapped[str]
    what: Mapped[str]
    text: Mapped[str]
