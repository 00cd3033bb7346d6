"""Path 3: the bank wants the customer to confirm (3-D Secure)."""

from __future__ import annotations

from deploy.demo.shop import Order
from tests.e2e.conversation import SECURE_CARD, World, is_bank_page


async def meets_the_bank(order: Order) -> str:
    seen = await order.shows(lambda it: is_bank_page(it.latest.get("pay_url")), "the bank's page")
    assert seen["status"] == "pending_payment"
    return str(seen["pay_url"])


async def test_the_customer_confirms_at_the_link_in_the_mail(world: World) -> None:
    customer = world.customer("Edsger Dijkstra")

    order = await customer.buys("atlas", card=SECURE_CARD)
    page = await meets_the_bank(order)
    async with world.browser.get(await customer.opens_pay_page("Please confirm the payment")) as answer:
        assert page in await answer.text()
    await world.bank.authenticate(page, passed=True)
    done = await order.becomes("completed")

    assert await world.money_taken(order) == (done["purchased"], 0, 1)


async def test_who_fails_at_the_bank_can_pay_with_another_card(world: World) -> None:
    order = await world.customer("Leslie Lamport").buys("atlas", card=SECURE_CARD)
    await world.bank.authenticate(await meets_the_bank(order), passed=False)
    await order.shows(lambda it: it.latest["payment_status"] == "failed", "the failure")

    await order.pays_again()
    done = await order.becomes("completed")

    assert await world.money_taken(order) == (done["purchased"], 0, 1)


async def test_who_pays_with_another_card_instead_is_charged_once(world: World) -> None:
    """The attempt that waits for the bank is cancelled; a late confirmation charges nothing."""
    order = await world.customer("Karen Jones").buys("atlas", card=SECURE_CARD)
    page = await meets_the_bank(order)

    await order.pays_again()
    done = await order.becomes("completed")
    await world.bank.authenticate(page, passed=True)

    assert await world.money_taken(order) == (done["purchased"], 0, 1)


async def test_who_leaves_the_bank_until_the_time_is_over_is_not_charged(world: World) -> None:
    """The attempt that waits is cancelled at the provider before the order expires."""
    order = await world.customer("Radia Perlman", store=world.fair).buys("atlas", card=SECURE_CARD)

    await order.becomes("expired")

    await world.tells(order, "order.payment_closing")
    (intent,) = (await world.bank.books(order=order.id))["payment_intents"]
    assert intent["status"].startswith("cancel")
    assert await world.money_taken(order) == (0, 0, 0)
