"""Path 4: an order is cancelled, before and after it is paid; money and stock come back, once."""

from __future__ import annotations

from tests.e2e.conversation import DECLINED_CARD, SECURE_CARD, World, delivery_states, eventually, is_bank_page


async def test_a_cancelled_order_is_not_charged_and_its_stock_is_free_again(world: World) -> None:
    sku = await world.sells("astrolabe", {"kind": "shipment"}, shippable=True, stock=5)
    customer = world.customer("Jim Gray")
    order = await customer.buys((sku, 2), card=DECLINED_CARD)
    await order.shows(lambda it: it.latest.get("payment_status") == "failed", "the decline")
    assert (await world.stock(sku))["free"] == 3

    await world.cancels(order)
    await order.becomes("cancelled")

    await eventually(lambda: world.stock(sku), lambda seen: seen["free"] == 5, "the stock")
    assert await world.money_taken(order) == (0, 0, 0)
    await customer.gets_mail("was cancelled")
    await world.is_refused(world.cancels(order), "not_cancellable")
    assert (await world.stock(sku))["free"] == 5


async def test_a_paid_order_is_refunded_when_it_is_cancelled(world: World) -> None:
    sku = await world.sells("sextant", {"kind": "shipment"}, shippable=True, stock=5)
    customer = world.customer("Frances Allen")
    order = await customer.buys(sku, "navigation")
    await order.shows(lambda it: delivery_states(it) == ["waiting", "delivered"], "the course")

    await world.cancels(order)
    await order.shows(lambda it: it.latest["payment_status"] == "refunded", "the refund")

    assert order.status == "cancelled"
    assert await world.money_taken(order) == (order.latest["purchased"],) * 2 + (1,)
    await eventually(lambda: world.stock(sku), lambda seen: seen["free"] == 5, "the stock")
    await eventually(customer.courses, lambda seen: not seen, "the end of the course")
    await world.gets_webhooks(order, "order.refunded")


async def test_who_confirms_at_the_bank_after_the_cancellation_pays_nothing(world: World) -> None:
    order = await world.customer("Donald Knuth").buys("atlas", card=SECURE_CARD)
    page = str((await order.shows(lambda it: is_bank_page(it.latest.get("pay_url")), "the bank's page"))["pay_url"])

    await order.is_given_up()
    await order.becomes("cancelled")
    await world.bank.authenticate(page, passed=True)

    await eventually(
        lambda: world.money_taken(order), lambda seen: seen[0] == seen[1], "everything that was captured is refunded"
    )
    assert order.status == "cancelled"


async def test_a_completed_order_cannot_be_cancelled(world: World) -> None:
    order = await world.customer().buys("tides")
    await order.becomes("completed")

    refused = await world.is_refused(world.cancels(order), "not_cancellable")

    assert refused.title
    assert order.status == "completed"
