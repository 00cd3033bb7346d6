"""Emails that ask to pay lead to the pay page, where there is one."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from services.notifications.domain.operations import SendEmail
from services.notifications.gateways.pay_link import with_pay_link
from services.notifications.gateways.templates import EmailTemplates
from shared.contracts.approval import OrderCardNeeded
from shared.contracts.checkout import OrderPaymentActionRequired, OrderPaymentDeclined, OrderPaymentReminder
from shared.contracts.examples.order import PAY_PAGE
from shared.pay_links import PayLinks
from tests.unit.notifications.examples import placed_order

UNTIL = datetime.fromisoformat("2026-03-10T14:05:00+00:00")
SHOP, BANK = "https://shop.example/orders/o-1", "https://bank.example/1"
LINKS = PayLinks("https://pay.example", ("a-key-of-these-tests-of-32-characters",))
DECLINED = OrderPaymentDeclined(attempt=1, code="card_declined", text="No.", url=SHOP, until=UNTIL, page=PAY_PAGE)
CONFIRM = OrderPaymentActionRequired(url=BANK, until=UNTIL, page=PAY_PAGE)
CARD = OrderCardNeeded(verification=1, url=SHOP, until=UNTIL, text="No.", page=PAY_PAGE)
CONFIRM_CARD = OrderCardNeeded(verification=1, url=BANK, until=UNTIL, confirm=True, page=PAY_PAGE)
REMINDER = OrderPaymentReminder(reminder=1, amount=5380, currency="GBP", url=SHOP, until=UNTIL, page=PAY_PAGE)
ASKING = (DECLINED, CONFIRM, REMINDER, CARD, CONFIRM_CARD)


def email_of(event: object) -> SendEmail:
    return placed_order().hear(event).operation(SendEmail)


def link_in(email: SendEmail) -> str:
    return str(email.data["url"])


@pytest.mark.parametrize("event", ASKING)
def test_emails_that_ask_to_pay_lead_to_the_pay_page(event: object) -> None:
    email = with_pay_link(email_of(event), LINKS)

    claim = LINKS.read(link_in(email).removeprefix("https://pay.example/pay/"))
    assert claim.order == "o-1"
    assert claim.expires > UNTIL + timedelta(days=7)
    assert link_in(email).encode() in EmailTemplates().render(email).replace(b"=\r\n", b"")


@pytest.mark.parametrize("event", ASKING)
def test_the_call_itself_has_no_link_that_could_pay(event: object) -> None:
    assert "pay.example" not in str(email_of(event).data)


@pytest.mark.parametrize("event", ASKING)
def test_without_a_pay_page_the_links_are_those_of_checkout(event: OrderPaymentReminder) -> None:
    assert link_in(with_pay_link(email_of(event), None)) == event.url


@pytest.mark.parametrize("event", ASKING)
def test_what_a_checkout_of_an_older_build_tells_has_no_page(event: OrderPaymentReminder) -> None:
    older = event.model_copy(update={"page": None})
    assert link_in(with_pay_link(email_of(older), LINKS)) == event.url


@pytest.mark.parametrize("event", ASKING)
def test_who_can_pay_by_hand_only_is_led_to_the_shop(event: OrderPaymentReminder) -> None:
    by_hand = event.model_copy(update={"page": PAY_PAGE.model_copy(update={"providers": ("manual",)})})
    assert link_in(with_pay_link(email_of(by_hand), LINKS)) == event.url
