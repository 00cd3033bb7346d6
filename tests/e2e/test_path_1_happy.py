"""Path 1: a download, codes, a course and a parcel are bought, paid and delivered, and everybody hears of it."""

from __future__ import annotations

import asyncio

from deploy.client.storefront import Follower, Read
from shared.contracts import checkout, fulfillment, payments
from shared.contracts.storefront import PaymentChoice
from tests.e2e.conversation import Customer, World, delivery_states, eventually, link_in


async def test_an_order_of_four_kinds_of_items_is_paid_delivered_and_completed(world: World) -> None:
    customer = world.customer("Grace Hopper")

    order = await customer.buys("atlas", ("audiobook", 2), "navigation", "print")
    await order.shows(lambda it: delivery_states(it) == ["delivered"] * 3 + ["waiting"], "all but the parcel")
    assert (order.status, order.latest["payment_status"]) == ("processing", "paid")
    assert await customer.courses() == ["Coastal navigation, the course"]

    await world.ships(order, tracking="JD0146000031")
    done = await order.becomes("completed")

    assert done["fulfilment_status"] == "fulfilled"
    assert [status for _, status in order.history] == ["created", "pending_payment", "processing", "completed"]
    assert await world.money_taken(order) == (done["purchased"], 0, 1)
    await _is_told_by_mail(world, customer, done["number"])
    await world.gets_webhooks(order, "order.created", "order.received", "order.completed")


async def _is_told_by_mail(world: World, customer: Customer, number: str) -> None:
    confirmation = await customer.gets_mail(f"Your order {number}")
    assert "Atlas of Northern Lights" in confirmation["text"]
    assert "<html" in confirmation["html"]
    delivery = await customer.gets_mail("Your purchase is ready")
    assert delivery["text"].count("AUDI-") == 2
    assert await world.downloads(link_in(delivery["text"], "/downloads/")) == 302
    shipment = await customer.gets_mail("Your parcel is on its way")
    assert "JD0146000031" in shipment["text"]


async def test_every_change_is_in_the_timeline_and_in_the_customers_feed(world: World) -> None:
    customer = world.customer("Katherine Johnson")
    order = await customer.buys("tides")
    await order.becomes("completed")

    expected = {"order.created", "order.placed", "stock.reserved", "payment.captured", "order.paid", "item.delivered"}
    expected |= {"order.completed", "email.sent", "webhook.delivered"}
    await world.tells(order, *expected)
    timeline = await world.timeline(order)
    assert all(entry["actor"] and entry["at"] for entry in timeline)
    kinds = {"order_paid", "delivered", "order_completed"}
    await eventually(customer.feed, lambda seen: kinds <= {entry["kind"] for entry in seen}, "the feed")


async def test_the_callback_completes_what_the_lost_answer_did_not(world: World) -> None:
    await world.bank.inject({"kind": "close_after", "path": "/v1/payment_intents", "method": "POST"})

    order = await world.customer("Alan Turing").buys("tides")
    done = await order.becomes("completed")

    assert await world.money_taken(order) == (done["purchased"], 0, 1)


async def test_what_costs_nothing_is_delivered_without_a_charge(world: World) -> None:
    customer = world.customer("Barbara Liskov", country="US")
    order = await customer.opens()
    right = customer.checkout("tides")
    gift = {"code": "GIFT", "amount": right.total}
    free = right.model_validate(
        right.model_dump() | {"discounts": (gift,), "purchased": 0, "payment": PaymentChoice().model_dump()}
    )

    await order.submits(free)
    await order.becomes("completed")

    assert await world.money_taken(order) == (0, 0, 0)


async def test_customers_of_three_currencies_are_charged_to_the_last_unit(world: World) -> None:
    async def buy(country: str) -> None:
        order = await world.customer("Radia Perlman", country=country).buys("atlas", ("tides", 3))
        done = await order.becomes("completed")
        assert sum(item["purchased"] for item in done["items"]) == done["purchased"]
        assert await world.money_taken(order) == (done["purchased"], 0, 1)

    await asyncio.gather(*(buy(country) for country in ("DE", "US", "JP")))


async def test_every_message_about_an_order_carries_its_store_though_the_shop_named_none(world: World) -> None:
    order = await world.customer("Edsger Dijkstra").buys("tides")
    await order.becomes("completed")
    topics = (checkout.ORDERS, checkout.STATUS, payments.EVENTS, fulfillment.EVENTS)
    found: list[Read] = []
    async with Follower(world.settings.kafka, topics, from_beginning=True) as follower:
        async for batch in follower.batches():
            found += [read for read in batch if read.key == order.id]
            if found and not batch:
                break
    assert {read.topic for read in found} == {topic.name for topic in topics}
    assert {read.headers.get("ce_store") for read in found} == {order.store}
