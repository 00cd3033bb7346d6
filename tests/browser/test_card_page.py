"""The page that verifies a card before the store accepts the order, in a browser."""

from __future__ import annotations

from playwright.async_api import Page, expect

from shared.contracts.approval import AcceptOrder
from shared.contracts.storefront import CheckoutAbandoned
from tests.browser.shop import PayServer, PayShop, sent_at_once
from tests.browser.test_pay_page import BANK, choose, headed, opened


async def verify(page: Page, card: str) -> None:
    await choose(page, card)
    await page.get_by_role("button", name="Verify card").click()


async def test_declined_then_verified(page: Page, server: PayServer) -> None:
    shop = server.request()
    await opened(page, server, shop)
    await headed(page, "Your card could not be verified")
    await expect(page.get_by_text("Your card has insufficient funds.")).to_be_visible()
    await expect(page.get_by_text("You are not charged now.")).to_be_visible()
    await expect(page.get_by_text("$1.00 is authorised and released at once.")).to_be_visible()
    await expect(page.get_by_role("row", name="Total $35.00")).to_be_visible()

    await verify(page, "The card has expired")
    await expect(page.get_by_text("Your card has expired.")).to_be_visible()
    await expect(page.get_by_role("heading", level=1)).to_be_focused()

    await verify(page, "Visa: the card is verified")
    await headed(page, "Your card is verified")
    await expect(page.get_by_role("status")).to_have_text("Your card is verified")
    assert (len(shop.verifications), shop.charges) == (3, [])
    assert "The provider's words" not in await page.content()

    shop.hear(AcceptOrder())
    await opened(page, server, shop)
    await headed(page, "Your order is paid")
    assert len(shop.captures) == 1


async def test_the_bank_confirms_the_card_and_leads_back(page: Page, server: PayServer) -> None:
    shop = server.request()
    link = await opened(page, server, shop)
    await verify(page, "The bank asks for a confirmation")
    await headed(page, "Your bank")
    await page.get_by_role("button", name="Refuse").click()
    await expect(page.get_by_text("The card was not confirmed with your bank.")).to_be_visible()

    await verify(page, "The bank asks for a confirmation")
    await page.get_by_role("button", name="Confirm").click()
    await headed(page, "Your card is verified")
    assert page.url == link
    assert shop.charges == []


async def test_the_banks_report_may_come_later_than_the_customer(page: Page, server: PayServer) -> None:
    shop = server.request(BANK)
    await page.goto(f"{server.link(shop)}?setup_intent=seti_1&redirect_status=succeeded")
    await headed(page, "We are verifying your card")
    shop.confirm_card(1, passed=True)
    await headed(page, "Your card is verified")


async def test_another_card_instead_of_the_confirmation(page: Page, server: PayServer) -> None:
    shop = server.request(BANK)
    await opened(page, server, shop)
    await headed(page, "Confirm your card with your bank")
    await expect(page.get_by_role("link", name="Continue to your bank")).to_be_visible()
    await verify(page, "Visa")
    await headed(page, "Your card is verified")


async def test_too_many_cards(page: Page, server: PayServer) -> None:
    shop = server.request(store={"payment_tries": 2})
    await opened(page, server, shop)
    await expect(page.get_by_text("This is the last try.")).to_be_visible()
    await verify(page, "The card is declined")
    await headed(page, "No other card can be given")
    await opened(page, server, shop, 410)
    assert await page.get_by_role("button").count() == 0


async def test_a_request_that_was_given_up(page: Page, server: PayServer) -> None:
    shop = server.request()
    shop.hear(CheckoutAbandoned(reason="Changed my mind."))
    await opened(page, server, shop, 410)
    await headed(page, "This order was cancelled")


async def test_forms_that_are_sent_at_once_verify_once(server: PayServer) -> None:
    shop = server.request()
    link = server.link(shop)
    assert await sent_at_once(link, tabs=2) == [303, 303]
    assert len(shop.verifications) == 2  # the declined one, too


async def test_without_javascript_the_form_verifies_too(page: Page, server: PayServer) -> None:
    assert page.context.browser
    context = await page.context.browser.new_context(java_script_enabled=False)
    plain = await context.new_page()
    await opened(plain, server, server.request())
    await verify(plain, "Visa")
    await headed(plain, "Your card is verified")
    await context.close()


async def test_the_providers_fields_set_a_card_up(page: Page, with_stub: PayServer) -> None:
    shop: PayShop = with_stub.request(store={"verification": "setup"})
    await opened(page, with_stub, shop)
    await expect(page.get_by_text("no amount is authorised")).to_be_visible()
    await page.get_by_label("Stub of the card fields").fill("visa")
    await page.get_by_role("button", name="Verify card").dblclick()
    await headed(page, "Your card is verified")
    settings = (await page.evaluate("window.stubbed"))["settings"]
    assert (settings["mode"], settings["currency"], "amount" in settings) == ("setup", "usd", False)
    assert [one.payment_method for one in shop.verifications][1:] == ["pm_stubvisa01"]
