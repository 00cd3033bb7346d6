"""The pay page: what checkout tells for it, and paying again there."""

from __future__ import annotations

from datetime import timedelta

import pytest

from services.checkout.domain.order import ChargeState
from shared.contracts.approval import OrderVerificationRequested
from shared.contracts.card_verification import PaymentVerified
from shared.contracts.checkout import (
    CancelOrder,
    OrderPaymentActionRequired,
    OrderPaymentDeclined,
    OrderPaymentReminder,
    OrderPaymentRequested,
)
from shared.contracts.fulfillment import StockReserved
from shared.contracts.pay_page import PaymentRetryRequested, PayPage
from shared.contracts.payments import PaymentActionRequired, PaymentDeclined
from shared.contracts.values import OrderStatus
from tests.unit.checkout.examples import OrderScenario, captured, reserved_order, submission
from tests.unit.checkout.test_approval import CONFIRM, NOT_VERIFIED, request
from tests.unit.checkout.test_store_rules import order as shop_order
from tests.unit.checkout.test_tries import decline, order_of

LINK = "https://pay.example/pay/eyJvIjoi"


def again(attempt: int = 1, **changes: str) -> PaymentRetryRequested:
    fields = {"provider": "stripe", "payment_method": "pm_card_mastercard", "return_url": LINK} | changes
    return PaymentRetryRequested.model_validate({"attempt": attempt, **fields})


def declined_order() -> OrderScenario:
    return reserved_order("course").hear(decline(1))


def told(order: OrderScenario) -> PayPage:
    (event,) = order.all.of(OrderPaymentDeclined)
    assert event.page
    return event.page


def test_a_decline_tells_what_is_bought_what_it_costs_and_until_when_it_can_be_paid() -> None:
    order = declined_order()
    page = told(order)

    assert [(line.quantity, line.amount) for line in page.lines] == [(1, 1000)]
    assert (page.amount, page.attempts, page.tries_left) == (1000, 1, 7)
    assert page.until == order.at + timedelta(days=7)
    assert page.order_url == "https://northwind.example/orders/o-1"
    assert page.providers == ("stripe",)


def test_the_page_names_no_customer() -> None:
    customer = declined_order().state.customer
    assert customer
    said = told(declined_order()).model_dump_json()
    assert customer.email not in said
    assert customer.name not in said


def test_3d_secure_and_reminders_tell_it_too() -> None:
    order = reserved_order("course").hear(PaymentActionRequired(attempt=1, url="https://bank.example/3ds"))
    (event,) = order.all.of(OrderPaymentActionRequired)
    assert event.page
    assert event.page.until == event.until

    waits = shop_order(payment={"reminders": (timedelta(days=1),)}).given(submission("course"), StockReserved())
    waits.hear(decline(1)).let_time_pass(timedelta(days=1))
    (reminder,) = waits.all.of(OrderPaymentReminder)
    assert reminder.page
    assert reminder.page.until == reminder.until


def test_a_request_on_the_page_requests_the_next_attempt_and_brings_the_customer_back_to_it() -> None:
    order = declined_order().hear(again())

    (request,) = order.facts
    assert isinstance(request, OrderPaymentRequested)
    assert (request.attempt, request.payment_method, request.return_url) == (2, "pm_card_mastercard", LINK)
    assert order.state.charge is ChargeState.IN_PROGRESS


def test_two_requests_after_the_same_attempt_are_one() -> None:
    order = declined_order().given(again(), decline(2))

    assert order.hear(again()).facts == []
    assert "No effect: another attempt was requested since" in order.timeline[-1].text


def test_a_request_while_a_charge_is_in_progress_changes_nothing() -> None:
    assert declined_order().given(again()).hear(again(2)).facts == []


def test_a_request_instead_of_the_confirmation_requests_another_attempt() -> None:
    order = reserved_order("course").given(PaymentActionRequired(attempt=1, url="https://bank.example/3ds"), again())

    assert [type(fact) for fact in order.facts] == [OrderPaymentRequested]


def test_a_request_after_the_end_changes_nothing() -> None:
    for end in (captured(1000), CancelOrder()):
        assert declined_order().given(end).hear(again()).facts == []
    overdue = declined_order().let_time_pass(timedelta(days=8))
    assert overdue.state.status is OrderStatus.EXPIRED
    assert overdue.hear(again()).facts == []


def test_a_request_for_what_the_store_does_not_offer_changes_nothing() -> None:
    order = declined_order().hear(again(provider="manual"))

    assert order.facts == []
    assert "No effect: the store does not offer this way of paying" in order.timeline[-1].text


def test_after_the_last_try_the_page_says_that_none_is_left() -> None:
    order = order_of(payment_tries=1).hear(decline(1))

    assert told(order).tries_left == 0
    assert order.hear(again()).facts == []


def test_the_reason_of_a_decline_is_one_of_the_closed_list() -> None:
    order = reserved_order("course").hear(PaymentDeclined(attempt=1, code="do_not_honor", text="No."))

    (event,) = order.all.of(OrderPaymentDeclined)
    assert event.code == "card_declined"


# Another card of a request


def other_card(verification: int = 1, **changes: str) -> PaymentRetryRequested:
    return again(0, **changes).model_copy(update={"verification": verification})


def test_another_card_is_verified_and_the_customer_comes_back_to_the_page() -> None:
    order = request(StockReserved(), NOT_VERIFIED).hear(other_card())

    (asked,) = order.facts
    assert isinstance(asked, OrderVerificationRequested)
    assert (asked.verification, asked.payment_method, asked.return_url) == (2, "pm_card_mastercard", LINK)
    assert order.timeline[-1].text == "The customer gave another card (verification 2)."
    assert order.hear(other_card()).facts == [], "the same request again"


def test_a_card_is_given_instead_of_confirming_the_first() -> None:
    (asked,) = request(StockReserved(), CONFIRM).hear(other_card()).facts
    assert isinstance(asked, OrderVerificationRequested)


@pytest.mark.parametrize(
    ("order", "retry", "why"),
    [
        (request(StockReserved(), NOT_VERIFIED), other_card(7), "another card was given since"),
        (request(StockReserved()), other_card(), "no other card is awaited"),
        (request(StockReserved(), PaymentVerified(verification=1)), other_card(), "no other card is awaited"),
        (request(StockReserved(), NOT_VERIFIED, rules={"payment_tries": 1}), other_card(), "there were too many"),
        (request(StockReserved(), NOT_VERIFIED), other_card(provider="paypal"), "does not offer this way"),
        (request(StockReserved(), NOT_VERIFIED, CancelOrder()), other_card(), "the order is cancelled"),
        (declined_order(), other_card(), "the order is pending payment"),
    ],
)
def test_a_card_that_is_given_too_late_changes_nothing(
    order: OrderScenario, retry: PaymentRetryRequested, why: str
) -> None:
    assert order.hear(retry).facts == []
    assert why in order.timeline[-1].text


def test_a_request_is_not_paid_on_the_page() -> None:
    assert request(StockReserved(), NOT_VERIFIED).hear(again(0)).facts == []
