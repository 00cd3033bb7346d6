"""Path 9: Stripe loses its responses, rejects our key, or does not know a payment method. Customers are told nothing
untrue, and nothing that is meant for staff; a customer who is told that a payment failed pays again, but never twice.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from typing import Any

from deploy.client.http import Problem
from deploy.demo.shop import Order
from deploy.devstack.stack import Stack
from tests.e2e.conversation import Customer, World, eventually
from tests.e2e.test_command_line import CommandLine

ORDERS = 20
SECONDS = 15.0
"""Of outage. tests/integration/test_payments_outage.py has longer ones, with the clock moved."""
FOR_STAFF = ("ORDERBUS_", "API key", "sk_test", "req_", "Stripe", "pm_unknown", "attempts:")
"""What no customer should ever read."""


@contextlib.asynccontextmanager
async def trouble(world: World, **fault: Any) -> AsyncIterator[None]:
    await world.bank.inject({"count": None, **fault})
    try:
        yield
    finally:
        await world.bank.clear_fault()


async def twenty_buy(world: World, name: str) -> list[tuple[Customer, Order]]:
    customers = [world.customer(f"{name} {number}") for number in range(ORDERS)]
    orders = await asyncio.gather(*(customer.buys("atlas") for customer in customers))
    return list(zip(customers, orders, strict=True))


async def what_customers_read(world: World, customers: Iterable[Customer]) -> list[str]:
    texts = []
    for customer in customers:
        for mail in await customer.mails():
            whole = await world.outside.mail(mail["id"])
            texts.append(f"{whole['subject']} {whole['text']} {whole['html']}")
        texts += [f"{entry['title']} {entry['text']}" for entry in await customer.feed()]
    return texts


async def pay_again_when_told(order: Order, until: float) -> int:
    """Whether the customer was told that the payment failed, and did it again."""
    times = 0
    while asyncio.get_running_loop().time() < until:
        if order.latest.get("payment_status") == "failed" and order.latest.get("pay_url"):
            await order.pays_again()
            times += 1
        await asyncio.sleep(0.3)
    return times


async def test_answers_are_lost_and_callbacks_are_late(world: World) -> None:
    await world.bank.hold_webhooks()
    try:
        lost = {"kind": "close_after", "match": {"path": "/v1/payment_intents", "method": "POST"}}
        async with trouble(world, **lost):
            bought = await twenty_buy(world, "Barbara Liskov")
            end = asyncio.get_running_loop().time() + SECONDS
            told = await asyncio.gather(*(pay_again_when_told(order, end) for _, order in bought))
        for _, order in bought:
            await order.becomes("completed")
    finally:
        await world.bank.release_webhooks()
    charges = [(await world.money_taken(order))[2] for _, order in bought]
    assert (sum(map(bool, told)), charges) == (0, [1] * ORDERS)
    for customer, _ in bought:
        assert not [subject for subject in await customer.subjects() if "did not go through" in subject]


async def test_an_expired_key_is_reported_to_staff_only(world: World) -> None:
    async with trouble(world, kind="expired_key"):
        bought = await twenty_buy(world, "Edsger Dijkstra")
        await asyncio.sleep(3.0)
        statuses = [order.latest for _, order in bought]
        assert [status.get("payment_status") for status in statuses] == ["pending"] * ORDERS
        waiting = (await world.payment(bought[0][1]))["waiting"]
        assert [call["kind"] for call in waiting] == ["ChargeCard"]
        assert "ORDERBUS_STRIPE__API_KEY" in waiting[0]["error"] + waiting[0]["paused"]
    await resumed(world)
    for _, order in bought:
        await order.becomes("completed", within=60.0)
    assert [(await world.money_taken(order))[2] for _, order in bought] == [1] * ORDERS
    read = await what_customers_read(world, [customer for customer, _ in bought])
    read += [str(status) for _, order in bought for status in [order.latest]]
    assert [text for text in read if any(word in text for word in FOR_STAFF)] == []


async def resumed(world: World) -> None:
    """Staff set a new key and resume Stripe, instead of waiting for the next trial."""
    with contextlib.suppress(Problem):
        await world.edges.command("payments", "/destinations/stripe/resume", {})


async def test_an_unknown_payment_method_is_a_neutral_decline(world: World) -> None:
    customer = world.customer("Donald Knuth")
    order = await customer.buys("atlas", card="pm_unknown")
    declined = await order.shows(lambda it: it.latest.get("payment_status") == "failed", "the decline")
    assert declined["message"] == "This payment method cannot be used. Choose another one."
    mail = await customer.gets_mail("did not go through")
    assert "This payment method cannot be used. Choose another one." in mail["text"]
    read = [*await what_customers_read(world, [customer]), str(declined)]
    assert [text for text in read if any(word in text for word in FOR_STAFF)] == []
    (attempt,) = (await world.payment(order))["attempts"]
    assert "pm_unknown" in attempt["text"], "staff see what Stripe said"
    await order.pays_again()
    await order.becomes("completed")


async def test_staff_settle_an_unknown_outcome(world: World, stack: Stack) -> None:
    """Charged, the response lost, Stripe's records unreadable beyond the deadline: the order waits, and is paid."""
    orderbus = CommandLine(stack.environment())
    sku = await world.sells("candle", {"kind": "shipment"}, store=world.fair, shippable=True, stock=1)
    await world.bank.hold_webhooks()
    try:
        lost = {"kind": "close_after", "match": {"path": "/v1/payment_intents", "method": "POST"}}
        async with trouble(world, **lost):
            await world.bank.inject(
                {"kind": "error", "count": None, "match": {"path": "/v1/payment_intents", "method": "GET"}}
            )
            order = await world.customer("Grace Hopper", store=world.fair).buys(sku)
            # They are asked again for as long as there was time to pay.
            unknown = "that it is unknown"
            await eventually(lambda: world.payment(order), lambda seen: seen.get("unresolved"), unknown, within=90)
        await world.tells(order, "order.payment_closing")
        assert order.status == "pending_payment"
        (intent,) = (await world.bank.books(order=order.id))["payment_intents"]
        command = ("settle", "payment", order.number, "captured", "--reason", "Seen at Stripe.")
        refused = await orderbus(*command)
        assert refused.code != 0
        assert "name the provider's id of the charge or refund with --reference" in refused.err
        settled = await orderbus(*command, "--reference", intent["id"])
        assert settled.code == 0
        paid = intent["amount"]
        await order.becomes("processing")
        assert await world.money_taken(order) == (paid, 0, 1)
    finally:
        await world.bank.release_webhooks()
    assert (await world.says(order, "payment.settled", "Seen at Stripe."))["actor"] == "staff"
