"""How the pay page writes amounts and times, in each language."""

from __future__ import annotations

from datetime import timedelta

import pytest

from services.payments.pay_page_view import Shown, no_order_page, order_page
from shared.contracts.checkout import OrderCancelled
from shared.contracts.payments import RefundPayment
from shared.contracts.values import OrderItem
from tests.unit.payments.examples import PaymentScenario, item, requested
from tests.unit.payments.test_pay_page import page, told_of

BEING_REFUNDED = "What you paid is being refunded in full."
SHOWN = Shown("N", None, "a-key")


def shown(payment: PaymentScenario, **told: str) -> str:
    return order_page(payment.state, page(payment.at + timedelta(days=7), 1, **told), payment.at, SHOWN)


@pytest.mark.parametrize(
    ("tag", "written"),
    [("de-AT", "8. Jänner 2026"), ("fi", "8. tammikuuta 2026"), ("tr-TR", "8 Ocak 2026"), ("fr-FR", "January 8, 2026")],
)
def test_times_are_the_stores_in_the_orders_language(tag: str, written: str) -> None:
    page = shown(told_of(PaymentScenario(requested()).decline()), locale=tag, time_zone="Europe/Berlin")
    assert written in page.replace("\N{NO-BREAK SPACE}", " ")


@pytest.mark.parametrize(
    ("currency", "tag", "written"),
    [
        ("KWD", "de-DE", "5,000\xa0KWD"),
        ("JPY", "en-US", "¥5,000"),
        ("EUR", "fi-FI", "50,00\xa0€"),
        ("TRY", "tr", "₺50,00"),
    ],
)
def test_amounts_are_as_the_language_writes_them(currency: str, tag: str, written: str) -> None:
    payment = told_of(PaymentScenario(requested(currency=currency)).decline())
    assert written in shown(payment, locale=tag)


def test_what_customers_and_stores_wrote_is_escaped() -> None:
    payment = told_of(PaymentScenario(requested(items=(_named("<b>"),))).decline())
    text = shown(payment, store="<script>alert(1)</script>", support="a@b.example")
    assert "<script>alert" not in text
    assert "&lt;script&gt;" in text


def test_what_is_still_owed_of_an_order_that_ended_is_not_told_as_refunded() -> None:
    payment = told_of(PaymentScenario(requested()).decline()).given(requested(2)).pay()
    payment.given(RefundPayment(amount=100)).make_refund()
    payment.hear(OrderCancelled())
    assert BEING_REFUNDED in shown(payment)
    payment.fail_refund()
    assert BEING_REFUNDED in shown(payment), "it is tried again, or staff refund it"

    payment = told_of(PaymentScenario(requested()).decline()).given(requested(2), OrderCancelled()).pay()
    assert "What you paid was refunded in full." in shown(payment.make_refund())


def test_a_payment_of_another_amount_sends_the_customer_to_the_store() -> None:
    payment = told_of(PaymentScenario(requested()).decline()).given(requested(2)).answer_charge("succeeded", 4000)
    assert "We received a payment, but not of the amount of this order." in shown(payment)


def _named(product: str) -> OrderItem:
    return item("1", 5000).model_copy(update={"product": product})


def test_a_page_without_an_order_is_in_the_language_that_the_browser_asks_for() -> None:
    assert "Dieser Link funktioniert nicht" in no_order_page("fr;q=0.9, de-AT;q=0.8", SHOWN, expired=False)
    assert "This link has expired" in no_order_page("", SHOWN, expired=True)
    assert 'lang="tr"' in no_order_page("tr", SHOWN, expired=True)
