"""Customers: whose orders have the same email address in a store. They are read from the orders' index by address, one
after the other, so a page takes as long however many there are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from services.staff.order_conditions import DATE, LAST

ORDERS = 1000
"""The latest orders of a customer that are counted and summed."""
NEXT = """select o.email from orders o where o.store = :store and o.email {} and o.email >= :first and o.email < :last
    order by o.email limit 1"""
ADDRESSES = sa.text(f"""with recursive c as (
        ({NEXT.format("> :after")})
        union all
        select ({NEXT.format("> c.email")}) from c where c.email is not null
    ) select email from c where email is not null limit :most""")
OF_ACCOUNT = sa.text("""select distinct email from orders where store = :store and account = :account
    and email > :after and email >= :first and email < :last order by email limit :most""")
LATEST = f"""select o.order_id, o.email, o.customer_name, o.account, o.currency, o.paid, o.refunded, o.placed_at,
        {DATE} as at
    from unnest(cast(:emails as text[])) as e(email) cross join lateral (
        select * from orders o where o.store = :store and o.email = e.email order by {DATE} desc limit :orders
    ) o order by o.email, at desc, o.order_id desc"""


@dataclass(frozen=True, slots=True)
class CustomerChoice:
    """`first`: what their addresses begin with."""

    first: str = ""
    email: str = ""
    account: str = ""


async def place_of(connection: AsyncConnection, order: str, stores: Sequence[str]) -> tuple[str, str] | None:
    """Store and address of an order's customer, if the store is one of these."""
    statement = sa.text("select store, email from orders where order_id = :order and store = any(:stores)")
    row = (await connection.execute(statement, {"order": order, "stores": list(stores)})).one_or_none()
    return (row.store, row.email) if row and row.email else None


async def customers(
    connection: AsyncConnection, stores: Sequence[str], chosen: CustomerChoice, after: tuple[str, str] | None, most: int
) -> list[dict[str, Any]]:
    """The next ones, at most so many, by store and address."""
    found: list[dict[str, Any]] = []
    for store in sorted(stores):
        if after is not None and store < after[0]:
            continue
        last = after[1] if after is not None and store == after[0] else ""
        emails = await _emails(connection, store, chosen, last, most - len(found))
        if emails:
            found += await _summed(connection, store, emails)
        if len(found) >= most:
            break
    return found


async def _emails(
    connection: AsyncConnection, store: str, chosen: CustomerChoice, after: str, most: int
) -> Sequence[str]:
    first, last = chosen.first, chosen.first + LAST
    if chosen.email:
        first, last = chosen.email, chosen.email + "\x01"
    values: dict[str, Any] = {"store": store, "after": after, "first": first, "last": last, "most": most}
    if chosen.account:
        return (await connection.execute(OF_ACCOUNT, values | {"account": chosen.account})).scalars().all()
    return (await connection.execute(ADDRESSES, values)).scalars().all()


async def _summed(connection: AsyncConnection, store: str, emails: Sequence[str]) -> list[dict[str, Any]]:
    values = {"store": store, "emails": list(emails), "orders": ORDERS + 1}
    orders: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in (await connection.execute(sa.text(LATEST), values)).mappings():
        orders[row["email"]].append(dict(row))
    return [_customer(store, email, orders[email]) for email in emails if email in orders]


def _customer(store: str, email: str, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    counted = rows[:ORDERS]
    paid, refunded = defaultdict[str, int](int), defaultdict[str, int](int)
    for row in counted:
        paid[row["currency"]] += row["paid"] or 0
        refunded[row["currency"]] += row["refunded"]
    return {
        "order": rows[0]["order_id"],
        "store": store,
        "email": email,
        "name": next((row["customer_name"] for row in counted if row["customer_name"]), None),
        "accounts": sorted({row["account"] for row in counted if row["account"]}),
        "orders": len(counted),
        "placed": sum(row["placed_at"] is not None for row in counted),
        "more": len(rows) > ORDERS,
        "first_at": counted[-1]["at"],
        "last_at": counted[0]["at"],
        "sums": [{"currency": each, "paid": paid[each], "refunded": refunded[each]} for each in sorted(paid)],
    }
