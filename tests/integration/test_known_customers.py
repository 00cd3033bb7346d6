"""Whether a customer has bought before: PostgreSQL and the simulation's memory find the same, by indexes."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

from services.checkout.domain.order import Order
from services.checkout.domain.verification import BoughtBefore
from services.checkout.storage import BOUGHT_BEFORE, order_columns, storage
from shared.contracts.values import Customer, OrderStatus, PaymentStatus, StoreCard
from shared.core import codec
from shared.shell.ports.rows import StateRow, StateWrite
from shared.shell.ports.store import Store, Writes
from shared.shell.postgres.engine import create_engine
from shared.shell.postgres.statements import Sql
from shared.shell.postgres.store import PostgresStore
from shared.simulation.memory_store import MemoryStore
from tests.integration.conftest import NewDatabase

NOW = datetime(2026, 3, 3, 14, 5, tzinfo=UTC)
ORDERS = next(table for table in storage.states if table.kind is Order)
SEARCH = storage.searches[0]
MAIL = "shop@example.com"


def order(number: int, store: str, customer: Customer | None, **fields: Any) -> Order:
    card = StoreCard(id=store, name="Shop", sender=MAIL, staff_email=MAIL, support_email=MAIL, order_url="https://x.y")
    return Order(f"ORD-{number:010}", card, "USD", timedelta(days=7), NOW, NOW, customer=customer, **fields)


def one_of_each() -> list[Order]:
    """Each customer has one order of a kind of their own."""
    kinds = itertools.product(
        ("north", "south"),
        (OrderStatus.PENDING_PAYMENT, OrderStatus.PROCESSING, OrderStatus.COMPLETED, OrderStatus.CANCELLED),
        ((0, 0, PaymentStatus.PAID), (500, 0, PaymentStatus.PAID), (500, 500, PaymentStatus.REFUNDED),
         (500, 100, PaymentStatus.PARTIALLY_REFUNDED), (500, 0, PaymentStatus.CHARGED_BACK)),
        (None, "It looks odd."),
        (True, False),
    )  # fmt: skip
    made = [order(0, "north", None)]
    for number, (store, status, (paid, refunded, payment_status), held, signed_in) in enumerate(kinds, 1):
        customer = Customer(name="A", email=f"C{number}@Example.com", id=f"c-{number}", signed_in=signed_in)
        sums = {"purchased": 500, "paid": paid, "refunded": refunded, "payment_status": payment_status}
        made.append(order(number, store, customer, status=status, held=held, **sums))
    return made


async def answers(store: Store, orders: list[Order], questions: list[BoughtBefore]) -> set[BoughtBefore]:
    rows = [
        StateWrite(StateRow(it.number, 1, 0, codec.dump_state(it), codec.shape_of(Order)), order_columns(it), NOW)
        for it in orders
    ]
    async with store.begin() as tx:
        await tx.write(Writes(states=[(ORDERS, rows)]))
    async with store.begin() as tx:
        found = await tx.search(SEARCH, questions)
    assert all(isinstance(question, BoughtBefore) for question in found)
    return found  # type: ignore[return-value]


async def test_postgresql_and_the_memory_know_the_same_customers(new_database: NewDatabase) -> None:
    url = await new_database("checkout")
    orders = one_of_each()
    questions = [
        BoughtBefore(store, email, customer)
        for number in range(len(orders))
        for store in ("north", "south")
        for email, customer in ((f"c{number}@example.com", ""), ("new@example.com", f"c-{number}"), ("new@x.y", ""))
    ]
    engine = create_engine(url, "test")
    found = await answers(PostgresStore(engine), orders, questions)
    await engine.dispose()

    assert found == await answers(MemoryStore(), orders, questions)
    known = [it for it in orders if it.customer and it.paid > it.refunded and it.held is None]
    known = [it for it in known if it.status in ("processing", "completed") and it.payment_status != "charged_back"]
    assert found == {
        question
        for it in known
        if (buyer := it.customer)
        for question in (
            BoughtBefore(it.store.id, buyer.email.lower(), ""),
            *([BoughtBefore(it.store.id, "new@example.com", buyer.id or "")] if buyer.signed_in else []),
        )
    }


async def test_indexes_carry_the_search(new_database: NewDatabase) -> None:
    url = await new_database("checkout")
    connection = await asyncpg.connect(url.replace("postgresql+asyncpg", "postgresql"))
    await connection.execute(MANY)
    await connection.execute("analyze orders")
    asked = ["north"] * 20, [f"c{n}@example.com" for n in range(20)], [f"c-{n}" for n in range(20)]
    rows = await connection.fetch(f"explain (analyze) {Sql(BOUGHT_BEFORE).text}", *asked)
    await connection.close()
    plan = "\n".join(row[0] for row in rows)
    assert "orders_email" in plan and "orders_customer" in plan and "Seq Scan" not in plan, plan


MANY = """
    insert into orders (key, version, sequence, data, changed_at, number, store, status, payment_status, email,
        currency, purchased, paid, refunded, created_at)
    select n, 1, 0, jsonb_build_object('customer', jsonb_build_object('id', 'c-' || n, 'signed_in', true)), now(), n,
        'north', 'completed', 'paid', 'c' || n || '@example.com', 'USD', 5, 5, 0, now()
    from generate_series(1, 20000) n
"""
