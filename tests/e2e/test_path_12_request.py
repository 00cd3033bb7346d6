"""Path 12: a made-to-order store: staff accept or decline an order before the charge; its card is verified and kept."""

from __future__ import annotations

from typing import Any

import pytest_asyncio

from deploy.demo.catalogue import offer
from tests.e2e.conversation import DECLINED_CARD, Customer, World, eventually

STORE = "atelier-request"
RULES = {"approval": "staff", "capture": "approval", "verification": "amount"}


@pytest_asyncio.fixture(loop_scope="session")
async def atelier(world: World) -> World:
    """A store that accepts orders by hand, with one product."""
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
    await world.edges.command("checkout", f"/stores/{STORE}", settings, method="PUT")
    await world.edges.command("checkout", f"/stores/{STORE}", {"settings": {"orders": RULES}}, method="PATCH")
    await offer(world.edges, STORE, world.catalogue.products["print"])
    return world


def customer_of(world: World, name: str) -> Customer:
    return world.customer(name, store=STORE)


async def holds(world: World, order: str) -> list[tuple[bool, int]]:
    """By the provider's books: of each authorisation, whether it is still held, and its amount."""
    intents = (await world.bank.books(order=order))["payment_intents"]
    return [(intent["status"] == "requires_capture", intent["amount"]) for intent in intents]


async def test_an_accepted_request_is_charged_with_the_verified_card(atelier: World) -> None:
    customer = customer_of(atelier, "Ada Lovelace")
    order = await customer.buys("print")
    await order.shows(lambda it: it.latest.get("message") == "Waits for the store's approval.", "the wait for approval")
    await customer.gets_mail("Your request")

    async def books() -> list[tuple[bool, int]]:
        return await holds(atelier, order.id)

    await eventually(books, lambda seen: seen == [(False, 100)], "the release of the verification")
    await atelier.command(order, "checkout", "accept", reason="Can be made by May.")
    await order.becomes("processing")
    await atelier.ships(order)
    done = await order.becomes("completed")
    assert [status for _, status in order.history] == ["created", "received", "accepted", "processing", "completed"]
    assert (await atelier.money_taken(order))[:2] == (done["purchased"], 0)
    await customer.gets_mail("is accepted")


async def test_a_declined_request_is_never_charged(atelier: World) -> None:
    customer = customer_of(atelier, "Grace Hopper")
    order = await customer.buys("print")
    await order.shows(lambda it: it.latest.get("message") == "Waits for the store's approval.", "the wait for approval")
    await atelier.command(order, "checkout", "decline", reason="Too far.", note="We are fully booked.")
    await order.becomes("declined")
    mail = await customer.gets_mail("was declined")
    mail_text = mail["text"]
    assert "We are fully booked." in mail_text
    assert "Too far." not in mail_text
    assert (await atelier.money_taken(order))[:2] == (0, 0)
    await atelier.is_refused(atelier.command(order, "checkout", "accept"), "not_received")


async def test_a_declined_card_can_be_replaced_before_staff_see_the_request(atelier: World) -> None:
    customer = customer_of(atelier, "Alan Turing")
    order = await customer.buys("print", card=DECLINED_CARD)
    mail = await customer.gets_mail("Please give another card")
    assert "insufficient funds" in mail["text"]
    await atelier.is_refused(atelier.command(order, "checkout", "accept"), "not_verified")
    await order.pays_again()
    await order.shows(lambda it: it.latest.get("message") == "Waits for the store's approval.", "the wait for approval")
    await order.is_given_up()
    await order.becomes("cancelled")
    assert (await atelier.money_taken(order))[:2] == (0, 0)
