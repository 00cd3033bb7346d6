"""Path 12: a made-to-order store: staff accept or decline an order before the charge; its card is verified and kept."""

from __future__ import annotations

from typing import Any

import pytest_asyncio
from playwright.async_api import Page, expect

from deploy.demo.catalogue import offer
from deploy.demo.shop import GOOD_CARD, Order
from tests.browser.chromium import browser, page
from tests.e2e.conversation import (
    DECLINED_CARD,
    SECURE_CARD,
    Customer,
    World,
    delivery_states,
    eventually,
    is_bank_page,
)
from tests.e2e.test_pay_page import headed

__all__ = ["browser", "page"]

STORE = "atelier-request"
RULES = {"approval": "staff", "capture": "approval", "verification": "amount"}
SET_UP, HURRIED = "atelier-set-up", "atelier-hurried"
"""Stores that set the card up; the second waits for payment for seconds only."""
DECLINED_LATER, SECURE_ALWAYS = "pm_card_chargeCustomerFail", "pm_card_authenticationRequired"


@pytest_asyncio.fixture(loop_scope="session")
async def atelier(world: World) -> World:
    """Stores that accept orders by hand, with one product each."""
    await opens(world, STORE, RULES)
    await opens(world, SET_UP, RULES | {"verification": "setup"})
    await opens(world, HURRIED, RULES | {"verification": "setup"}, grace="PT30S", reminders=["PT5S"])
    return world


async def opens(world: World, store: str, rules: dict[str, str], **payment: Any) -> None:
    settings: dict[str, Any] = {
        "name": "Atelier",
        "sender": "orders@atelier.example",
        "staff_email": "staff@atelier.example",
        "support_email": "help@atelier.example",
        "order_url": "https://atelier.example/orders/{order}",
        "currencies": ["EUR"],
        "grace": "P7D",
        "abandon_after": "P1D",
    }
    await world.edges.command("checkout", f"/stores/{store}", settings, method="PUT")
    change = {"settings": {"orders": rules, "payment": payment}}
    await world.edges.command("checkout", f"/stores/{store}", change, method="PATCH")
    await offer(world.edges, store, world.catalogue.products["print"])


def customer_of(world: World, name: str, store: str = STORE) -> Customer:
    return world.customer(name, store=store)


async def is_received(order: Order) -> None:
    await order.shows(lambda it: it.latest.get("message") == "Waits for the store's approval.", "the wait for approval")


async def is_shipped(world: World, order: Order) -> None:
    await order.shows(lambda it: delivery_states(it) == ["waiting"], "the parcel that waits")
    await world.ships(order)


async def holds(world: World, order: str) -> list[tuple[bool, int]]:
    """By the provider's books: of each authorisation, whether it is still held, and its amount."""
    intents = (await world.bank.books(order=order))["payment_intents"]
    return [(intent["status"] == "requires_capture", intent["amount"]) for intent in intents]


async def kept(world: World, order: str) -> set[bool]:
    """Whether the provider keeps the card, of each payment intent."""
    return {intent["card_kept"] for intent in (await world.bank.books(order=order))["payment_intents"]}


async def test_an_accepted_request_is_charged_with_the_verified_card(atelier: World) -> None:
    customer = customer_of(atelier, "Ada Lovelace")
    order = await customer.buys("print")
    await is_received(order)
    await customer.gets_mail("Your request")

    async def books() -> list[tuple[bool, int]]:
        return await holds(atelier, order.id)

    await eventually(books, lambda seen: seen == [(False, 100)], "the release of the verification")
    assert await kept(atelier, order.id) == {True}
    await atelier.command(order, "checkout", "accept", reason="Can be made by May.")
    await order.becomes("processing")
    await is_shipped(atelier, order)
    done = await order.becomes("completed")
    assert [status for _, status in order.history] == ["created", "received", "accepted", "processing", "completed"]
    assert (await atelier.money_taken(order))[:2] == (done["purchased"], 0)
    await customer.gets_mail("is accepted")
    await eventually(lambda: kept(atelier, order.id), lambda seen: seen == {False}, "that the card is forgotten")


async def test_a_declined_request_is_never_charged(atelier: World) -> None:
    customer = customer_of(atelier, "Grace Hopper")
    order = await customer.buys("print")
    await is_received(order)
    await atelier.command(order, "checkout", "decline", reason="Too far.", note="We are fully booked.")
    await order.becomes("declined")
    mail = await customer.gets_mail("was declined")
    mail_text = mail["text"]
    assert "We are fully booked." in mail_text
    assert "Too far." not in mail_text
    assert (await atelier.money_taken(order))[:2] == (0, 0)
    await eventually(lambda: kept(atelier, order.id), lambda seen: seen == {False}, "that the card is forgotten")
    await atelier.is_refused(atelier.command(order, "checkout", "accept"), "not_received")


async def test_a_declined_card_can_be_replaced_before_staff_see_the_request(atelier: World) -> None:
    customer = customer_of(atelier, "Alan Turing")
    order = await customer.buys("print", card=DECLINED_CARD)
    mail = await customer.gets_mail("Please give another card")
    assert "insufficient funds" in mail["text"]
    await atelier.is_refused(atelier.command(order, "checkout", "accept"), "not_verified")
    await order.pays_again()
    await is_received(order)
    await order.is_given_up()
    await order.becomes("cancelled")
    assert (await atelier.money_taken(order))[:2] == (0, 0)


async def test_a_kept_card_that_is_declined_is_replaced_by_the_link(atelier: World) -> None:
    customer = customer_of(atelier, "Hedy Lamarr", SET_UP)
    order = await customer.buys("print", card=DECLINED_LATER)
    await is_received(order)
    assert await holds(atelier, order.id) == [], "it is set up: nothing is authorised"
    await atelier.command(order, "checkout", "accept")
    await order.becomes("pending_payment")
    mail = await customer.gets_mail("did not go through")
    assert order.latest["pay_url"] in mail["text"]

    await order.pays_again()
    await order.becomes("processing")
    await is_shipped(atelier, order)
    done = await order.becomes("completed")
    passed = [status for _, status in order.history]
    assert passed == ["created", "received", "accepted", "pending_payment", "processing", "completed"]
    assert (await atelier.money_taken(order))[:2] == (done["purchased"], 0)


async def test_a_bank_that_demands_authentication_while_the_customer_is_away(atelier: World) -> None:
    customer = customer_of(atelier, "Emmy Noether", SET_UP)
    order = await customer.buys("print", card=SECURE_ALWAYS)
    await order.shows(lambda it: is_bank_page(it.latest.get("pay_url")), "the bank's page")
    await atelier.is_refused(atelier.command(order, "checkout", "accept"), "not_verified")
    await atelier.bank.authenticate(order.latest["pay_url"], passed=True)
    await is_received(order)

    await atelier.command(order, "checkout", "accept")
    await order.becomes("pending_payment")
    mail = await customer.gets_mail("did not go through")
    assert order.latest["pay_url"] in mail["text"]
    await order.pays_again(SECURE_CARD)
    await order.shows(lambda it: is_bank_page(it.latest.get("pay_url")), "the bank's page")
    await atelier.bank.authenticate(order.latest["pay_url"], passed=True)
    paid = await order.becomes("processing")
    assert (await atelier.money_taken(order))[:2] == (paid["purchased"], 0)


async def test_an_accepted_request_that_is_never_paid_expires(atelier: World) -> None:
    customer = customer_of(atelier, "Sofia Kovalevskaya", HURRIED)
    order = await customer.buys("print", card=DECLINED_LATER)
    await is_received(order)
    await atelier.command(order, "checkout", "accept")
    await order.becomes("pending_payment")
    await order.pays_again(DECLINED_CARD)
    await customer.gets_mail("is not paid yet")

    await order.becomes("expired", within=60)
    assert (await atelier.money_taken(order))[:2] == (0, 0)
    await customer.gets_mail("has expired")
    await atelier.is_refused(atelier.command(order, "checkout", "accept"), "not_received")


async def test_a_customer_gives_up_while_an_accepted_request_waits_for_payment(atelier: World) -> None:
    customer = customer_of(atelier, "Mary Somerville", SET_UP)
    order = await customer.buys("print", card=DECLINED_LATER)
    await is_received(order)
    await atelier.command(order, "checkout", "accept")
    await order.becomes("pending_payment")
    await order.is_given_up()
    await order.becomes("cancelled")
    assert (await atelier.money_taken(order))[:2] == (0, 0)


async def test_a_card_that_was_not_verified_is_replaced_on_the_page_of_the_mail(atelier: World) -> None:
    customer = customer_of(atelier, "Lise Meitner")
    order = await customer.buys("print", card=DECLINED_CARD)
    link = await customer.opens_pay_page("Please give another card")
    page = await atelier.pay_page(link, "card")
    assert "€1.00 is authorised and released at once." in page
    assert "Your card has insufficient funds." in page

    assert await atelier.pays_on_page(link, SECURE_CARD, "card") == 200
    assert "/3d_secure/" in await atelier.pay_page(link, "card_confirm")
    await order.shows(lambda it: is_bank_page(it.latest.get("pay_url")), "the bank's page")
    await atelier.bank.authenticate(order.latest["pay_url"], passed=False)
    assert "The card was not confirmed with your bank." in await atelier.pay_page(link, "card")
    assert await atelier.pays_on_page(link, GOOD_CARD, "card") == 200
    await atelier.pay_page(link, "card_verified")
    await is_received(order)
    assert (await atelier.money_taken(order))[:2] == (0, 0), "nothing is charged before it is accepted"

    await atelier.command(order, "checkout", "accept")
    paid = await order.becomes("processing")
    assert (await atelier.money_taken(order))[:2] == (paid["purchased"], 0)
    await atelier.pay_page(link, "paid")


async def test_the_bank_confirms_a_card_in_a_browser_and_leads_back(atelier: World, page: Page) -> None:
    customer = customer_of(atelier, "Rosalind Franklin", SET_UP)
    order = await customer.buys("print", card=DECLINED_CARD)
    link = await customer.opens_pay_page("Please give another card")
    await page.goto(link)
    await expect(page.get_by_text("no amount is authorised")).to_be_visible()
    await page.get_by_role("radio", name="3-D Secure").check()
    await page.get_by_role("button", name="Verify card").click()
    await headed(page, "Your bank asks")
    await page.get_by_role("button", name="Complete authentication").click()
    await headed(page, "Your card is verified")
    assert page.url == link
    await is_received(order)
    assert await holds(atelier, order.id) == []
