"""The pay page in a browser: every way to pay, and every end."""

from __future__ import annotations

import re
from datetime import timedelta

import aiohttp
import pytest
from playwright.async_api import Page, expect

from shared.contracts.checkout import CancelOrder
from shared.contracts.payments import RefundPayment
from shared.contracts.storefront import PaymentChoice
from tests.browser.shop import PayServer, PayShop, sent_at_once

BANK = "pm_card_threeDSecure2Required"


async def opened(page: Page, server: PayServer, shop: PayShop, status: int = 200) -> str:
    """The link."""
    response = await page.goto(link := server.link(shop))
    assert response
    assert response.status == status
    return link


async def headed(page: Page, title: str) -> None:
    await expect(page.get_by_role("heading", level=1)).to_have_text(title)


async def choose(page: Page, card: str) -> None:
    await page.get_by_role("radio", name=card).check()


async def pay(page: Page, card: str) -> None:
    await choose(page, card)
    await page.get_by_role("button", name="Pay").click()


async def test_declined_then_paid(page: Page, server: PayServer) -> None:
    shop = server.open()
    await opened(page, server, shop)
    await headed(page, "Your payment did not go through")
    await expect(page.get_by_text("Your card has insufficient funds.")).to_be_visible()
    await expect(page.get_by_role("row", name="Total $35.00")).to_be_visible()
    await expect(page.get_by_text("You can pay until")).to_be_visible()

    await pay(page, "The card has expired")
    await expect(page.get_by_text("Your card has expired.")).to_be_visible()
    await expect(page.get_by_role("status")).to_have_text("Your payment did not go through")
    await expect(page.get_by_role("heading", level=1)).to_be_focused()

    await pay(page, "Visa: the payment succeeds")
    await headed(page, "Your order is paid")
    await expect(page.get_by_role("status")).to_have_text("Your order is paid")
    assert len(shop.captures) == 1
    assert "The provider's words" not in await page.content()


async def test_3d_secure_hands_over_to_the_bank_and_returns(page: Page, server: PayServer) -> None:
    shop = server.open()
    link = await opened(page, server, shop)
    await pay(page, "The bank asks for a confirmation")
    await headed(page, "Your bank")
    await page.get_by_role("button", name="Confirm").click()

    await headed(page, "Your order is paid")
    assert page.url == link
    assert len(shop.captures) == 1


async def test_who_refuses_at_the_bank_can_use_another_card(page: Page, server: PayServer) -> None:
    shop = server.open()
    await opened(page, server, shop)
    await pay(page, "The bank asks for a confirmation")
    await page.get_by_role("button", name="Refuse").click()
    await expect(page.get_by_text("The payment was not confirmed with your bank.")).to_be_visible()
    await pay(page, "Mastercard")

    await headed(page, "Your order is paid")
    assert len(shop.captures) == 1


async def test_another_card_instead_of_the_confirmation(page: Page, server: PayServer) -> None:
    shop = server.open(BANK)
    await opened(page, server, shop)
    await pay(page, "Visa")

    await headed(page, "Your order is paid")
    assert len(shop.captures) == 1


async def test_the_banks_report_may_come_later_than_the_customer(page: Page, server: PayServer) -> None:
    shop = server.open(BANK)
    link = server.link(shop)
    await page.goto(f"{link}?payment_intent=pi_1&redirect_status=succeeded")
    await headed(page, "We are processing your payment")
    assert page.url == link
    shop.confirm(1, passed=True)

    await headed(page, "Your order is paid")


async def test_a_double_click_charges_once(page: Page, server: PayServer) -> None:
    shop = server.open()
    await opened(page, server, shop)
    await choose(page, "Visa")
    await page.get_by_role("button", name="Pay").dblclick()

    await headed(page, "Your order is paid")
    assert len(shop.charges) == 2  # the declined one, too
    assert len(shop.captures) == 1


@pytest.mark.parametrize("tabs", [1, 2])
async def test_forms_that_are_sent_at_once_charge_once(server: PayServer, tabs: int) -> None:
    shop = server.open()
    link = server.link(shop)
    assert await sent_at_once(link, tabs) == [303, 303]
    assert len(shop.captures) == 1


async def test_without_javascript_the_form_pays_too(page: Page, server: PayServer) -> None:
    assert page.context.browser
    context = await page.context.browser.new_context(java_script_enabled=False)
    plain = await context.new_page()
    await opened(plain, server, shop := server.open())
    await pay(plain, "Visa")

    await headed(plain, "Your order is paid")
    assert len(shop.captures) == 1
    await context.close()


async def test_back_after_paying_shows_that_it_is_paid(page: Page, server: PayServer) -> None:
    shop = server.open()
    await opened(page, server, shop)
    await pay(page, "The bank asks for a confirmation")
    await page.get_by_role("button", name="Confirm").click()
    await headed(page, "Your order is paid")

    await page.go_back()
    await page.go_back()

    await headed(page, "Your order is paid")
    assert await page.get_by_role("button").count() == 0


async def test_a_payment_under_way_is_waited_for(page: Page, server: PayServer) -> None:
    shop = server.open()
    shop.holds = True
    await opened(page, server, shop)
    await pay(page, "Visa")
    await headed(page, "We are processing your payment")
    await expect(page.get_by_role("status")).to_contain_text("being processed")
    shop.holds = False
    shop.pump()

    await headed(page, "Your order is paid")


async def test_no_card_is_chosen(page: Page, server: PayServer) -> None:
    shop = server.open()
    await opened(page, server, shop)
    await page.get_by_role("button", name="Pay").click()

    await expect(page.get_by_text("Please choose a card.")).to_be_visible()
    assert len(shop.charges) == 1


async def test_it_works_by_keyboard(page: Page, server: PayServer) -> None:
    shop = server.open()
    await opened(page, server, shop)
    await page.keyboard.press("Tab")
    await page.keyboard.press("Space")
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("button", name="Pay")).to_be_focused()
    await page.keyboard.press("Enter")

    await headed(page, "Your order is paid")


async def test_there_is_no_field_for_a_card_number(page: Page, server: PayServer) -> None:
    await opened(page, server, server.open())
    assert await page.locator("input:not([type=hidden]):not([type=radio])").count() == 0


async def test_ends(page: Page, server: PayServer) -> None:
    shop = server.open()
    shop.pass_time(timedelta(days=8))
    await page.goto(link := server.links.url(shop.order.key, shop.at))
    await headed(page, "The time to pay is over")
    async with aiohttp.ClientSession() as http, http.get(link) as response:
        assert response.status == 410

    cancelled = server.open()
    cancelled.hear(CancelOrder())
    await opened(page, server, cancelled, 410)
    await headed(page, "This order was cancelled")

    refunded = server.open("pm_card_visa_chargeDeclined")
    await opened(page, server, refunded)
    await pay(page, "Visa")
    await headed(page, "Your order is paid")
    refunded.payment.hear(RefundPayment())
    refunded.pump()
    await opened(page, server, refunded)
    await headed(page, "Your payment was refunded")


async def test_too_many_tries(page: Page, server: PayServer) -> None:
    shop = server.open(store={"payment_tries": 4})
    for _ in range(2):
        await opened(page, server, shop)
        await pay(page, "The card is declined")
        await expect(page.get_by_role("heading", level=1)).to_be_focused()
    await headed(page, "Please wait before you try again")
    await opened(page, server, shop, 429)
    shop.pass_time(timedelta(minutes=2))
    await opened(page, server, shop)
    await expect(page.get_by_text("This is the last try.")).to_be_visible()
    await pay(page, "The card is declined")

    await headed(page, "This order can no longer be paid")
    await opened(page, server, shop, 410)
    assert await page.get_by_role("button").count() == 0


async def test_a_link_that_is_none_tells_nothing(page: Page, server: PayServer) -> None:
    link = server.link(server.open())
    answers = set()
    async with aiohttp.ClientSession() as http:
        for wrong in (f"{link[:-2]}AA", f"{server.url}/pay/x", server.links.url("no-order", server.now())):
            async with http.get(wrong) as response:
                text = re.sub(r'nonce="[^"]*"', "", await response.text())
                answers.add((response.status, text))
    assert len(answers) == 1
    assert next(iter(answers))[0] == 404
    await page.goto(f"{link[:-2]}AA")
    await headed(page, "This link does not work")


async def test_a_link_that_has_expired(page: Page, server: PayServer) -> None:
    shop = server.open()
    server.late = timedelta(days=38)
    await opened(page, server, shop, 410)
    await headed(page, "This link has expired")
    assert shop.order.state.number not in await page.content()


async def test_a_transfer_that_is_awaited(page: Page, server: PayServer) -> None:
    by_hand = PaymentChoice(provider="manual", method="bank_transfer")
    shop = server.open(store={"payment_providers": ("manual", "stripe")}, payment=by_hand)
    assert shop.payment.state.page is None  # it is told with the first reminder


async def test_the_providers_fields_drive_the_same_page(page: Page, with_stub: PayServer) -> None:
    shop = with_stub.open()
    await opened(page, with_stub, shop)
    field = page.get_by_label("Stub of the card fields")
    await page.get_by_role("button", name="Pay").click()
    assert len(shop.charges) == 1

    await field.fill("unreadable")
    await page.get_by_role("button", name="Pay").click()
    await expect(page.get_by_role("alert")).to_have_text("The card could not be read. Please check what you entered.")

    await field.fill("declined")
    await page.get_by_role("button", name="Pay").click()
    await expect(page.get_by_text("Your card was declined.")).to_be_visible()

    await field.fill("visa")
    await page.get_by_role("button", name="Pay").dblclick()
    await headed(page, "Your order is paid")
    assert len(shop.captures) == 1
    stubbed = await page.evaluate("window.stubbed")
    assert (stubbed["key"], stubbed["options"]) == ("pk_test_orderbus", {"locale": "en"})
    assert stubbed["settings"]["amount"] == shop.order.state.purchased
    assert stubbed["settings"]["currency"] == "usd"
    assert stubbed["made"] == 3


async def test_a_script_that_does_not_come(page: Page, with_stub: PayServer) -> None:
    await page.route("**/stub.js", lambda route: route.abort())
    await opened(page, with_stub, with_stub.open())

    await expect(page.get_by_role("alert")).to_contain_text("could not be loaded")
