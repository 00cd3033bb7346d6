"""Checkout's tables: stores and the history of their settings, products, SKUs, orders, the timeline. Rows are
locked in this order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from services.checkout.domain.correspondence import Written
from services.checkout.domain.order import Order
from services.checkout.domain.product import Product
from services.checkout.domain.sku import Sku
from services.checkout.domain.store import Store
from services.checkout.domain.store_change import SettingsChange
from services.checkout.domain.timeline import TimelineEntry
from shared.shell.ports.tables import RecordTable, StateTable, Storage
from shared.shell.postgres.tables import state_table

metadata = sa.MetaData()

stores = state_table("stores", metadata)
products = state_table("products", metadata)
skus = state_table("skus", metadata)
orders = state_table(
    "orders",
    metadata,
    sa.Column("number", sa.Text),
    sa.Column("store", sa.Text),
    sa.Column("status", sa.Text),
    sa.Column("payment_status", sa.Text),
    sa.Column("fulfilment_status", sa.Text),
    sa.Column("email", sa.Text),
    sa.Column("customer_name", sa.Text),
    sa.Column("currency", sa.Text),
    sa.Column("purchased", sa.BigInteger),
    sa.Column("paid", sa.BigInteger),
    sa.Column("refunded", sa.BigInteger),
    sa.Column("created_at", sa.DateTime(timezone=True)),
    sa.Column("placed_at", sa.DateTime(timezone=True)),
    sa.Column("deadline", sa.DateTime(timezone=True)),
    sa.Column("closed_at", sa.DateTime(timezone=True)),
)
timeline = sa.Table(
    "timeline",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("id", postgresql.UUID, primary_key=True),
    sa.Column("position", sa.BigInteger, sa.Identity(always=True), nullable=False),
    sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("what", sa.Text, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("detail", postgresql.JSONB, nullable=False),
)
store_changes = sa.Table(
    "store_changes",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("id", postgresql.UUID, primary_key=True),
    sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("changes", postgresql.JSONB, nullable=False),
)
"""The history of each store's settings."""
correspondence = sa.Table(
    "correspondence",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("id", postgresql.UUID, primary_key=True),
    sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    *(sa.Column(name, sa.Text, nullable=False) for name in ("actor", "kind", "text", "sender", "author")),
    sa.Column("written_at", sa.DateTime(timezone=True)),
    sa.Column("attachments", postgresql.JSONB, nullable=False),
    *(sa.Column(name, sa.Text, nullable=False) for name in ("store", "email")),
)
"""Notes on orders and customers, messages, what customers ask, and answers."""


def order_columns(order: Order) -> Mapping[str, Any]:
    """What lists filter by and what the database guards."""
    return {
        "number": order.number,
        "store": order.store.id,
        "status": order.status.value,
        "payment_status": order.payment_status.value,
        "fulfilment_status": order.fulfilment_status.value,
        "email": order.customer.email.lower() if order.customer else None,
        "customer_name": order.customer.name if order.customer else None,
        "currency": order.currency,
        "purchased": order.purchased,
        "paid": order.paid,
        "refunded": order.refunded,
        "created_at": order.created_at,
        "placed_at": order.placed_at,
        "deadline": order.deadline,
        "closed_at": order.closed_at,
    }


storage = Storage(
    metadata,
    states=[
        StateTable(Store, stores, store=lambda key, store: key),
        StateTable(Product, products, store=lambda key, product: product.store),
        StateTable(Sku, skus, store=lambda key, sku: sku.store),
        StateTable(Order, orders, order_columns, lambda key, order: order.store.id, unique=["number"], brief=True),
    ],
    records=[
        RecordTable(TimelineEntry, timeline),
        RecordTable(SettingsChange, store_changes),
        RecordTable(Written, correspondence),
    ],
)
