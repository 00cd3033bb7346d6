"""What a list of orders shows of each: columns of its row, and what is looked up for the page's orders."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection
from typing_extensions import TypedDict

from services.staff.storage import order_items, orders, transactions

TAG = "tag:"


class ListedProduct(TypedDict):
    """A line of an order."""

    sku: str
    """The SKU."""
    product: str
    """The product's id."""
    kind: str
    """One of product, order_bump, pre_upsell, delivery."""
    quantity: int
    """How many units."""


class ListedOrder(TypedDict, total=False):
    """An order as lists show it: the fields that `fields` names. Amounts in minor units of `currency`."""

    order: str
    """The order's id."""
    number: str
    """The order's number."""
    store: str
    """The store's id."""
    status: str
    """Its status."""
    shown_status: str
    """What to show in place of the status: `refunded` after a partial refund, where the store wants it."""
    status_word: str | None
    """What the store calls it, if that is something else."""
    payment_status: str
    """Whether it is paid."""
    fulfilment_status: str
    """Whether it is delivered."""
    currency: str
    """ISO 4217."""
    subtotal: int
    """Sum of the lines: before discounts, and before tax unless prices include it."""
    discount: int
    """Sum of the discounts."""
    tax: int
    """Sum of the taxes."""
    total: int
    """What is to be paid."""
    paid: int | None
    """What counts as paid."""
    refunded: int
    """What was refunded, in minor units."""
    customer_name: str | None
    """The customer's name."""
    email: str | None
    """In lower case."""
    account: str | None
    """The storefront's id for the customer."""
    country: str | None
    """Where the customer is, in ISO 3166-1."""
    source: str | None
    """Where the customer came from."""
    offer: str | None
    """The offer that was taken."""
    item_count: int
    """How many units of products."""
    held: str | None
    """Why it is held for verification."""
    asked: str | None
    """What the customer asks for, and staff have not answered: `cancel`, `refund`."""
    created_at: datetime | None
    """When it was opened."""
    placed_at: datetime | None
    """When it was placed."""
    paid_at: datetime | None
    """When it was paid in full."""
    completed_at: datetime | None
    """When it was completed."""
    closed_at: datetime | None
    """When it ended."""
    updated_at: datetime | None
    """When it changed last."""
    deadline: datetime | None
    """When the time to pay ends."""
    erased_at: datetime | None
    """When the customer's personal data was erased."""
    provider: str | None
    """Of the latest attempt to pay, as are method and card."""
    method: str | None
    """How it is paid: `card`."""
    card_brand: str | None
    """The card's brand."""
    card_last4: str | None
    """The card's last four digits."""
    captured: int
    """What was captured, in minor units."""
    refund_pending: int
    """What is being refunded, in minor units."""
    refundable: int
    """What can still be refunded, in minor units."""
    owed: int
    """What the customer is to get and has not got."""
    unresolved: bool
    """The outcome of a charge or refund is unknown."""
    delivery_stage: str | None
    """How far its delivery is."""
    failed_executions: int
    """How many executions have failed."""
    waiting_executions: int
    """Actions that wait for staff."""
    to_start: bool
    """Nothing is delivered until staff start it."""
    lost_emails: int
    """How many emails were lost."""
    lost_webhooks: int
    """How many webhook deliveries were lost."""
    tags: list[str]
    """The storefront's words for the checkout."""
    products: list[ListedProduct]
    """What was bought."""
    transaction: str | None
    """The provider's id of the latest charge."""


LOOKED_UP = ("tags", "products", "transaction")
FIELDS = tuple(ListedOrder.__annotations__)
_COLUMNS: Mapping[str, sa.Column[Any]] = {
    name: orders.c["order_id" if name == "order" else name] for name in FIELDS if name not in LOOKED_UP
}


_KEYS = sa.bindparam("keys", type_=sa.ARRAY(sa.Text))
_PRODUCTS = (
    sa.select(*(order_items.c[name] for name in ("order_id", *ListedProduct.__annotations__)))
    .where(order_items.c.order_id == sa.any_(_KEYS))
    .order_by(order_items.c.order_id, order_items.c.item)
)
_TRANSACTIONS = (
    sa.select(transactions.c.order_id, transactions.c.reference)
    .where(transactions.c.order_id == sa.any_(_KEYS), transactions.c.kind == "charge")
    .where(transactions.c.reference.is_not(None))
    .order_by(transactions.c.at)
)


@cache
def _rows(shown: tuple[str, ...]) -> sa.Select[Any]:
    columns = [orders.c.order_id.label("key"), *(_COLUMNS[name].label(name) for name in shown if name in _COLUMNS)]
    if "tags" in shown:
        columns.append(orders.c.order_facets.label("tags"))
    return sa.select(*columns).where(orders.c.order_id == sa.any_(_KEYS))


async def listed_orders(
    connection: AsyncConnection, keys: Sequence[str], fields: Collection[str]
) -> list[dict[str, Any]]:
    """In the order of the keys, with the fields in theirs."""
    shown = tuple(name for name in FIELDS if name in fields)
    given = {"keys": list(keys)}
    found = {row["key"]: dict(row) for row in (await connection.execute(_rows(shown), given)).mappings()}
    further: dict[str, Mapping[str, Any]] = {}
    if "products" in shown:
        products = defaultdict[str, list[dict[str, Any]]](list)
        for row in (await connection.execute(_PRODUCTS, given)).mappings():
            products[row["order_id"]].append({name: row[name] for name in ListedProduct.__annotations__})
        further["products"] = products
    if "transaction" in shown:
        charges = await connection.execute(_TRANSACTIONS, given)
        further["transaction"] = {row.order_id: row.reference for row in charges}
    return [_listed(key, found[key], shown, further) for key in keys if key in found]


def _listed(
    key: str, row: dict[str, Any], shown: Sequence[str], further: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    if "tags" in row:
        row["tags"] = [facet.removeprefix(TAG) for facet in row["tags"] if facet.startswith(TAG)]
    row |= {name: by_key.get(key, [] if name == "products" else None) for name, by_key in further.items()}
    return {name: row[name] for name in shown}
