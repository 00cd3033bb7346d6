"""Path 5: refunds in full and in part, never more than was captured; access to fully refunded items ends."""

from __future__ import annotations

import asyncio

from deploy.client.http import Problem
from tests.e2e.conversation import World, delivery_states, eventually, link_in


async def test_a_whole_refund_ends_all_access(world: World) -> None:
    customer = world.customer("Adele Goldberg")
    order = await customer.buys("atlas", "navigation")
    await order.becomes("completed")
    link = link_in((await customer.gets_mail("Your purchase is ready"))["text"], "/downloads/")
    assert await world.downloads(link) == 302

    await world.refunds(order)
    back = await order.becomes("refunded")

    assert await world.money_taken(order) == (back["purchased"], back["purchased"], 1)
    await eventually(lambda: world.downloads(link), lambda status: status == 410, "a dead link")
    await eventually(customer.courses, lambda seen: not seen, "the end of the course")
    await order.shows(lambda it: it.latest["fulfilment_status"] == "revoked", "revoked")
    await customer.gets_mail("A refund for order")
    await world.gets_webhooks(order, "order.refunded")
    await world.is_refused(world.refunds(order), "already_refunded")


async def test_a_part_of_the_money_leaves_the_order_completed(world: World) -> None:
    order = await world.customer("Margaret Hamilton").buys("atlas")
    done = await order.becomes("completed")

    await world.refunds(order, amount=500)
    part = await order.shows(lambda it: it.latest["payment_status"] == "partially_refunded", "the refund")
    assert (part["status"], part["refunded"]) == ("completed", 500)
    await world.is_refused(world.refunds(order, amount=done["purchased"] - 499), "too_much")
    await world.refunds(order, amount=done["purchased"] - 500)
    await order.becomes("refunded")

    assert await world.money_taken(order) == (done["purchased"], done["purchased"], 1)


async def test_a_refunded_item_is_revoked_and_the_others_stay(world: World) -> None:
    customer = world.customer("Radia Perlman")
    order = await customer.buys("tides", "navigation")
    await order.becomes("completed")

    await world.refunds(order, items=[{"item": "2"}])
    part = await order.shows(lambda it: it.latest["items"][1]["delivery"] == "revoked", "the course's end")

    assert part["items"][0]["delivery"] == "delivered"
    assert part["items"][1]["refunded"] == part["items"][1]["purchased"] == part["refunded"]
    assert await customer.courses() == []


async def test_access_and_stock_are_choices_of_their_own(world: World) -> None:
    customer = world.customer("Barbara Liskov")
    order = await customer.buys("tides", "navigation")
    await order.becomes("completed")
    link = link_in((await customer.gets_mail("Your purchase is ready"))["text"], "/downloads/")

    await world.refunds(order, items=[{"item": "1"}], remove_access=[], restock=[])
    part = await order.shows(lambda it: it.latest["payment_status"] == "partially_refunded", "the refund")
    assert part["refunded"] == part["items"][0]["purchased"]
    await world.refunds(order, remove_access=["2"])
    back = await order.becomes("refunded")

    assert back["items"][0]["delivery"] == "delivered"
    await order.shows(lambda it: it.latest["items"][1]["delivery"] == "revoked", "the course's end")
    assert await world.downloads(link) == 302
    assert await customer.courses() == []


async def test_a_delivery_charge_is_refunded_like_a_product(world: World) -> None:
    customer = world.customer("Jim Gray")
    order = await customer.buys("atlas", "print")
    await order.shows(lambda it: delivery_states(it) == ["delivered", "waiting"], "a parcel to send")
    await world.ships(order, tracking="JD0146000032")
    done = await order.becomes("completed")
    assert [(item["purchased"], item["kind"]) for item in done["items"]] == [
        (2033, "product"),
        (4998, "product"),
        (583, "delivery"),
    ]
    assert "Standard delivery" in (await customer.gets_mail("Your order"))["text"]

    await world.refunds(order, items=[{"item": "3"}])
    part = await order.shows(lambda it: it.latest["payment_status"] == "partially_refunded", "the refund")
    assert (part["status"], part["refunded"]) == ("completed", 583)
    assert [item["delivery"] for item in part["items"]] == ["delivered", "delivered", "not_needed"]
    await world.is_refused(world.refunds(order, items=[{"item": "3"}]), "already_refunded")


async def test_of_two_refunds_at_once_one_is_refused(world: World) -> None:
    order = await world.customer("Grace Hopper").buys("atlas")
    done = await order.becomes("completed")
    share = done["purchased"] * 2 // 3

    answers = await asyncio.gather(*(world.refunds(order, amount=share) for _ in range(2)), return_exceptions=True)

    refused = [answer for answer in answers if isinstance(answer, Problem)]
    assert [problem.code for problem in refused] == ["too_much"]
    await eventually(lambda: world.money_taken(order), lambda seen: seen[1] == share, "one refund")


async def test_an_unpaid_order_has_nothing_to_refund(world: World) -> None:
    order = await world.customer().opens()
    await order.becomes("created")

    problem = await asyncio.gather(world.refunds(order), return_exceptions=True)

    assert isinstance(problem[0], Problem)
    assert problem[0].status == 404, "payments does not know it yet"
