"""Checkout's tables: stores and the history of their settings, products, SKUs, orders, and what is written about them.
Rows are locked in this order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from services.checkout.domain.correspondence import Written
from services.checkout.domain.order import Order
from services.checkout.domain.product import Product
from services.checkout.domain.sku import Sku
from services.checkout.domain.store import Store
from services.checkout.domain.store_change import SettingsChange
from services.checkout.domain.verification import BOUGHT, PAID, BoughtBefore
from shared.shell.ports.tables import RecordTable, Search, StateTable, Storage
from shared.shell.postgres.erasure import erasures_of, erasures_table
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


def _one_of(statuses: Sequence[str]) -> str:
    return "in ({})".format(", ".join(f"'{status}'" for status in statuses))


_BOUGHT = f"paid > refunded and status {_one_of(BOUGHT)}"
"""As the index `orders_customer` has it."""
_LASTS = f"payment_status {_one_of(PAID)} and data ->> 'held' is null"
BOUGHT_BEFORE = f"""
    select place from unnest(cast(:store as text[]), cast(:email as text[]), cast(:customer as text[]))
        with ordinality as asked(store, email, customer, place)
    where (
        select true from orders where store = asked.store and email = asked.email and {_BOUGHT} and {_LASTS} limit 1
    ) or asked.customer <> '' and (
        select true from orders where store = asked.store and data #>> '{{customer,id}}' = asked.customer
            and data #>> '{{customer,signed_in}}' = 'true' and {_BOUGHT} and {_LASTS} limit 1
    )
"""
"""With `limit`, which `exists` has not, each is looked up by its index, whatever the planner thinks of the table."""


def has_bought(asked: BoughtBefore, row: Mapping[str, Any]) -> bool:
    """As `BOUGHT_BEFORE`."""
    if row["store"] != asked.store or row["status"] not in BOUGHT or row["data"].get("held") is not None:
        return False
    customer = row["data"].get("customer") or {}
    same = bool(asked.customer) and customer.get("id") == asked.customer and bool(customer.get("signed_in"))
    return (same or row["email"] == asked.email) and row["paid"] > row["refunded"] and row["payment_status"] in PAID


erasures = erasures_table(metadata)
ERASED = (
    "delete from timeline t using erased e where t.key = e.key and t.at < e.at",
    "delete from correspondence w using erased e where w.key = e.key and w.at < e.at",
)
"""What is erased besides, with an order (`erasure.py`)."""

storage = Storage(
    metadata,
    states=[
        StateTable(Store, stores, store=lambda key, store: key),
        StateTable(Product, products, store=lambda key, product: product.store),
        StateTable(Sku, skus, store=lambda key, sku: sku.store),
        StateTable(Order, orders, order_columns, lambda key, order: order.store.id, unique=["number"], brief=True),
    ],
    records=[
        RecordTable(SettingsChange, store_changes),
        RecordTable(Written, correspondence),
        erasures_of(erasures),
    ],
    searches=[Search(BoughtBefore, orders, BOUGHT_BEFORE, has_bought)],
)
