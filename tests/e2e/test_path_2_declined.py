"""Path 2: a card is declined; the customer pays again with another, or the time to do so runs out."""

from __future__ import annotations

from collections.abc import Callable

from tests.e2e.conversation import DECLINED_CARD, World, eventually


async def test_a_declined_customer_is_told_and_pays_with_another_card(world: World) -> None:
    customer = world.customer("Tony Hoare")

    order = await customer.buys("atlas", card=DECLINED_CARD)
    declined = await order.shows(lambda it: it.latest.get("payment_status") == "failed", "the decline")
    assert declined["status"] == "pending_payment"
    mail = await customer.gets_mail("did not go through")
    assert "/pay/" in mail["text"]
    assert declined["pay_url"] not in mail["text"].partition("/pay/")[0]
    assert "insufficient funds" in mail["text"]

    await order.pays_again()
    done = await order.becomes("completed")

    assert await world.money_taken(order) == (done["purchased"], 0, 1)
    attempts = (await world.payment(order))["attempts"]
    assert [(attempt["status"], attempt["code"]) for attempt in attempts] == [
        ("declined", "insufficient_funds"),
        ("captured", ""),
    ]


async def test_after_three_declined_cards_the_customer_waits_for_a_minute(world: World) -> None:
    customer = world.customer("Frances Allen")
    order = await customer.buys("atlas", card=DECLINED_CARD)
    for attempt in (1, 2, 3):
        told = f"payment attempt {attempt}"
        await eventually(lambda: world.happened(order), _declines(attempt), told)
        await order.pays_again(DECLINED_CARD)

    refused = await order.is_refused()
    assert refused["code"] == "too_many_attempts"
    assert "Try again after" in refused["text"]
    mails = await eventually(customer.mails, lambda seen: len(seen) == 3, "an email for each decline")
    texts = [(await world.outside.mail(mail["id"]))["text"] for mail in mails]
    assert any("You can try 5 times more." in text and "You can pay again from" in text for text in texts)


def _declines(count: int) -> Callable[[list[str]], bool]:
    return lambda happened: happened.count("order.payment_declined") == count


async def test_who_does_not_pay_in_time_loses_the_order_and_the_stock_comes_back(world: World) -> None:
    sku = await world.sells("lantern", {"kind": "shipment"}, store=world.fair, shippable=True, stock=1)
    customer = world.customer("Niklaus Wirth", store=world.fair)

    order = await customer.buys(sku, card=DECLINED_CARD)
    await order.becomes("expired")

    await eventually(lambda: world.stock(sku, world.fair), lambda seen: seen["free"] == 1, "the stock")
    assert await world.money_taken(order) == (0, 0, 0)
    await customer.gets_mail("has expired")
    await order.pays_again()
    assert (await order.is_refused())["code"] == "not_payable"


async def test_a_checkout_that_is_only_opened_expires(world: World) -> None:
    order = await world.customer(store=world.fair).opens()

    await order.becomes("expired")

    assert [status for _, status in order.history] == ["created", "expired"]
