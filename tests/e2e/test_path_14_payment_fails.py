"""Path 14: no try to pay is left, and the order has failed: staff reopen it and the customer pays by the link, or its
time runs out."""

from __future__ import annotations

from typing import Any

import pytest_asyncio

from deploy.demo.shop import GOOD_CARD, Order
from deploy.devstack.stack import Stack
from tests.e2e.conversation import DECLINED_CARD, World, eventually
from tests.e2e.test_command_line import CommandLine

STORE, HURRIED = "two-tries", "one-try"
"""Stores with few tries to pay; the second waits for payment for seconds only."""


@pytest_asyncio.fixture(loop_scope="session")
async def stores(world: World) -> World:
    await opens(world, STORE, tries=2, grace="P7D")
    await opens(world, HURRIED, tries=1, grace="PT6S")
    return world


async def opens(world: World, store: str, *, tries: int, grace: str) -> None:
    settings: dict[str, Any] = {
        "name": "Two tries",
        "sender": "orders@tries.example",
        "staff_email": f"staff@{store}.example",
        "support_email": "help@tries.example",
        "order_url": "https://tries.example/orders/{order}",
        "currencies": ["EUR"],
        "grace": grace,
        "payment_tries": tries,
    }
    await world.edges.command("checkout", f"/stores/{store}", settings, method="PUT")


async def staff_are_told(world: World, store: str, order: Order) -> None:
    async def subjects() -> list[str]:
        mails = (await world.outside.mails(to=f"staff@{store}.example"))["mails"]
        return [mail["subject"] for mail in mails]

    wanted = f"Order {order.number} needs attention"
    await eventually(subjects, lambda seen: wanted in seen, "the mail to staff")


async def test_a_failed_order_is_reopened_by_staff_and_paid_by_the_link(stores: World, stack: Stack) -> None:
    orderbus = CommandLine(stack.environment())
    sku = await stores.sells("sextant", {"kind": "shipment"}, store=STORE, shippable=True, stock=1)
    customer = stores.customer("Caroline Herschel", store=STORE)
    order = await customer.buys(sku, card=DECLINED_CARD)
    link = await customer.opens_pay_page("did not go through")
    assert await stores.pays_on_page(link, DECLINED_CARD) == 200
    failed = await order.becomes("failed")
    assert (failed["payment_status"], failed.get("pay_url")) == ("failed", None)
    await staff_are_told(stores, STORE, order)

    page = await stores.pay_page(link, "no_try_left", status=410)
    assert "No further try is left." in page
    await order.pays_again()
    assert (await order.is_refused())["code"] == "too_many_attempts"
    assert (await stores.stock(sku, STORE))["free"] == 0, "its stock is held"
    listed = await orderbus("attention", "--json")
    assert f"orderbus reopen {order.number}" in listed.out

    assert (await orderbus("reopen", order.number, "--tries", "1", "--note", "By telephone.")).code == 0
    await order.becomes("pending_payment")
    link = await customer.opens_pay_page("is not paid yet")
    assert await stores.pays_on_page(link, GOOD_CARD) == 200
    await order.becomes("processing")
    await stores.ships(order)
    done = await order.becomes("completed")

    assert [status for _, status in order.history if status != "created"] == [
        *("pending_payment", "failed", "pending_payment", "processing", "completed")
    ]
    assert await stores.money_taken(order) == (done["purchased"], 0, 1)
    assert [attempt["status"] for attempt in (await stores.payment(order))["attempts"]] == [
        *("declined", "declined", "captured")
    ]
    stock = await stores.stock(sku, STORE)
    assert (stock["free"], stock["on_hand"]) == (0, 0)
    await stores.pay_page(link, "paid")
    await stores.is_refused(stores.command(order, "checkout", "reopen"), "payment_not_failed")


async def test_a_failed_order_expires_with_its_time_and_the_stock_comes_back(stores: World) -> None:
    sku = await stores.sells("astrolabe", {"kind": "shipment"}, store=HURRIED, shippable=True, stock=1)
    customer = stores.customer("Maria Mitchell", store=HURRIED)
    order = await customer.buys(sku, card=DECLINED_CARD)
    await order.becomes("failed")
    await staff_are_told(stores, HURRIED, order)
    assert (await stores.stock(sku, HURRIED))["free"] == 0, "its stock is held"

    await order.becomes("expired")
    await eventually(lambda: stores.stock(sku, HURRIED), lambda seen: seen["free"] == 1, "the stock")
    await customer.gets_mail("has expired")
    assert await stores.money_taken(order) == (0, 0, 0)
    await stores.is_refused(stores.command(order, "checkout", "reopen"), "payment_not_failed")


async def test_a_failed_order_can_be_cancelled_or_completed_by_hand(stores: World) -> None:
    sku = await stores.sells("octant", {"kind": "shipment"}, store=STORE, shippable=True, stock=2)
    given_up, paid_in_cash = [await fails(stores, sku, name) for name in ("Henrietta Leavitt", "Annie Jump Cannon")]
    assert (await stores.stock(sku, STORE))["free"] == 0, "their stock is held"

    await stores.cancels(given_up)
    await given_up.becomes("cancelled")
    await eventually(lambda: stores.stock(sku, STORE), lambda seen: seen["free"] == 1, "the stock")

    await stores.command(paid_in_cash, "checkout", "complete", paid={"method": "cash"}, note="At the counter.")
    await paid_in_cash.becomes("processing", "completed")
    assert paid_in_cash.latest["payment_status"] == "paid"
    assert await stores.money_taken(paid_in_cash) == (0, 0, 0)


async def fails(world: World, sku: str, name: str) -> Order:
    customer = world.customer(name, store=STORE)
    order = await customer.buys(sku, card=DECLINED_CARD)
    await order.shows(lambda it: it.latest.get("payment_status") == "failed", "the decline")
    await order.pays_again(DECLINED_CARD)
    await order.becomes("failed")
    return order
