"""The pay page of a running orderbus, from the link in an email, in a browser."""

from __future__ import annotations

from playwright.async_api import Browser, Page, expect

from tests.browser.chromium import browser, page
from tests.e2e.conversation import DECLINED_CARD, SECURE_CARD, World

__all__ = ["browser", "page"]


async def headed(page: Page, title: str) -> None:
    await expect(page.get_by_role("heading", level=1)).to_have_text(title)


async def test_a_declined_customer_pays_by_the_link_in_the_mail(world: World, page: Page) -> None:
    customer = world.customer("Barbara Liskov")
    order = await customer.buys("atlas", card=DECLINED_CARD)
    link = await customer.opens_pay_page("did not go through")
    await page.goto(link)
    await headed(page, "Your payment did not go through")
    await expect(page.get_by_text("Your card has insufficient funds.")).to_be_visible()

    await page.get_by_role("radio", name="The card has expired").check()
    await page.get_by_role("button", name="Pay").click()
    await expect(page.get_by_text("Your card has expired.")).to_be_visible()

    await page.get_by_role("radio", name="Visa").check()
    await page.get_by_role("button", name="Pay").dblclick()
    await headed(page, "Your order is paid")
    done = await order.becomes("completed")
    assert await world.money_taken(order) == (done["purchased"], 0, 1)


async def test_the_bank_is_asked_and_leads_back_to_the_page(world: World, page: Page) -> None:
    customer = world.customer("Adele Goldberg")
    order = await customer.buys("atlas", card=DECLINED_CARD)
    link = await customer.opens_pay_page("did not go through")
    await page.goto(link)
    await page.get_by_role("radio", name="3-D Secure").check()
    await page.get_by_role("button", name="Pay").click()
    await headed(page, "Your bank asks")
    await page.get_by_role("button", name="Complete authentication").click()

    await headed(page, "Your order is paid")
    assert page.url == link
    done = await order.becomes("completed")
    assert await world.money_taken(order) == (done["purchased"], 0, 1)


async def test_another_browser_of_the_same_customer_pays_once(world: World, page: Page, browser: Browser) -> None:
    customer = world.customer("Radia Joy")
    order = await customer.buys("atlas", card=SECURE_CARD)
    link = await customer.opens_pay_page("Please confirm the payment")
    other = await browser.new_page()
    for tab in (page, other):
        await tab.goto(link)
        await tab.get_by_role("radio", name="Visa").check()
    for tab in (page, other):
        await tab.get_by_role("button", name="Pay").click()

    for tab in (page, other):
        await headed(tab, "Your order is paid")
    await other.close()
    done = await order.becomes("completed")
    assert await world.money_taken(order) == (done["purchased"], 0, 1)
