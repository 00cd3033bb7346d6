"""The pay page: how an order stands for who opens it, and paying again there."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from services.payments.domain.pay_page import (
    ANSWERED_WITHIN,
    Situation,
    bank_page,
    decline_reason,
    latest_attempt,
    situation,
    tries_left,
    waits_by_hand,
)
from shared.contracts.approval import OrderDeclined
from shared.contracts.checkout import (
    OrderCancelled,
    OrderExpired,
    OrderPaymentActionRequired,
    OrderPaymentClosing,
    OrderPaymentDeclined,
    OrderPaymentReminder,
)
from shared.contracts.pay_page import PayLine, PaymentRetryRequested, PayPage, RetryPayment
from shared.contracts.payments import PaymentStatusRecord, RefundPayment
from shared.contracts.values import OrderStatus
from tests.unit.payments.examples import PaymentScenario, requested

S = Situation
LINK = "https://pay.example/pay/eyJvIjoi"
BANK = "https://bank.example/1"
SHOP = "https://shop.example/orders/o-1"
WEEK = timedelta(days=7)


def page(until: datetime, attempts: int = 1, **changes: Any) -> PayPage:
    fields: dict[str, Any] = {
        "number": "ORD-ABCDEFGHIJ",
        "store": "Shop",
        "support": "help@shop.example",
        "order_url": SHOP,
        "lines": (PayLine(product="Atlas", quantity=1, amount=5000),),
        "subtotal": 5000,
        "discount": 0,
        "tax": 0,
        "amount": 5000,
        "until": until,
        "attempts": attempts,
        "tries_left": 8 - attempts,
        "providers": ("stripe",),
    }
    return PayPage.model_validate(fields | changes)


def told_of(payment: PaymentScenario, attempt: int = 1, **changes: Any) -> PaymentScenario:
    """Checkout tells of the decline."""
    until = payment.at + WEEK
    told = page(until, attempt, **changes)
    fact = OrderPaymentDeclined(
        attempt=attempt, code="insufficient_funds", text="No.", url=SHOP, until=until, page=told
    )
    return payment.hear(fact)


def declined(**changes: Any) -> PaymentScenario:
    return told_of(PaymentScenario(requested()).decline(), **changes)


def to_confirm() -> PaymentScenario:
    payment = PaymentScenario(requested()).ask_for_3ds()
    return payment.hear(OrderPaymentActionRequired(url=BANK, until=payment.at + WEEK, page=page(payment.at + WEEK)))


def again(attempt: int = 1, provider: str = "stripe") -> RetryPayment:
    return RetryPayment(attempt=attempt, provider=provider, payment_method="pm_2", return_url=LINK)


def retries(payment: PaymentScenario) -> list[PaymentRetryRequested]:
    """What the latest message had checkout told."""
    return [event for event in payment.published if isinstance(event, PaymentRetryRequested)]


def now(payment: PaymentScenario) -> Situation:
    return situation(payment.state, payment.at)


def test_a_declined_order_can_be_paid_and_the_customer_reads_why_it_was_declined() -> None:
    payment = declined()

    assert now(payment) is S.OPEN
    assert decline_reason(payment.state) == "insufficient_funds"
    assert tries_left(payment.state) == 7
    assert latest_attempt(payment.state) == 1


def test_until_checkout_has_told_of_the_decline_it_is_under_way() -> None:
    payment = to_confirm()
    payment.hear(requested(2)).cancel_charge()
    assert now(payment) is S.UNDER_WAY
    payment.decline()

    assert now(payment) is S.UNDER_WAY
    assert now(payment.let_time_pass(ANSWERED_WITHIN)) is S.OPEN


def test_a_request_to_pay_again_is_told_to_checkout_once() -> None:
    payment = declined().hear(again())

    assert retries(payment) == [
        PaymentRetryRequested(attempt=1, provider="stripe", payment_method="pm_2", return_url=LINK)
    ]
    assert now(payment) is S.UNDER_WAY
    assert payment.refuses(again()).code == "payment_under_way"


def test_it_changes_nothing_that_the_status_record_tells() -> None:
    payment = declined()
    before = len(payment.all.of(PaymentStatusRecord))

    assert len(payment.hear(again()).all.of(PaymentStatusRecord)) == before


def test_a_request_that_checkout_did_not_hear_can_be_repeated() -> None:
    payment = declined().given(again()).let_time_pass(ANSWERED_WITHIN)

    assert now(payment) is S.OPEN
    assert retries(payment.hear(again()))


def test_the_next_attempt_pays() -> None:
    payment = declined().given(again(), requested(2))
    assert now(payment) is S.UNDER_WAY

    payment.pay()

    assert now(payment) is S.PAID
    assert payment.refuses(again(2)).code == "not_payable"


def test_a_request_of_a_page_that_is_out_of_date_is_refused() -> None:
    payment = told_of(declined().given(again(), requested(2)).decline(), 2)

    assert payment.refuses(again(1)).code == "payment_under_way"
    assert retries(payment.hear(again(2)))


def test_what_waits_for_the_bank_can_be_confirmed_or_paid_with_another_card() -> None:
    payment = to_confirm()

    assert now(payment) is S.CONFIRM
    assert bank_page(payment.state) == BANK
    assert retries(payment.hear(again()))


def test_another_attempt_is_not_confirmed_at_the_page_of_the_first() -> None:
    payment = to_confirm().hear(requested(2)).cancel_charge().ask_for_3ds()

    assert bank_page(payment.state) == ""
    assert now(payment) is S.UNDER_WAY


def test_too_many_declines_ask_the_customer_to_wait() -> None:
    payment = declined()
    told_of(payment, retry_after=payment.at + timedelta(minutes=4))

    assert now(payment) is S.COOL_DOWN
    assert payment.refuses(again()).code == "too_many_attempts"
    assert now(payment.let_time_pass(timedelta(minutes=4))) is S.OPEN


@pytest.mark.parametrize("changes", [{"tries_left": 0}, {"tries_left": 3, "until_the_end": True}])
def test_no_try_is_left(changes: dict[str, Any]) -> None:
    payment = declined()
    if changes.pop("until_the_end", False):
        changes["retry_after"] = payment.at + WEEK
    told_of(payment, **changes)

    assert now(payment) is S.NO_TRY_LEFT
    assert payment.refuses(again()).code == "too_many_attempts"


def test_attempts_since_checkout_told_count_as_tries() -> None:
    payment = declined(tries_left=1).given(again(), requested(2)).ask_for_3ds()
    payment.hear(requested(3)).cancel_charge("cancelled")

    assert tries_left(payment.state) == 0


def test_the_end_of_an_order() -> None:
    assert now(declined().hear(OrderExpired(was=OrderStatus.PENDING_PAYMENT))) is S.EXPIRED
    assert now(declined().hear(OrderCancelled())) is S.CANCELLED
    assert now(declined().hear(OrderDeclined())) is S.DECLINED
    assert now(to_confirm().hear(OrderPaymentClosing(attempt=1)).cancel_charge()) is S.EXPIRED
    assert now(declined().let_time_pass(WEEK)) is S.EXPIRED
    for end in (OrderExpired(was=OrderStatus.PENDING_PAYMENT), OrderCancelled()):
        assert declined().hear(end).refuses(again()).code == "not_payable"


def test_what_may_still_be_charged_after_the_time_to_pay_is_not_told_as_unpaid() -> None:
    closing = to_confirm().hear(OrderPaymentClosing(attempt=1))
    assert now(closing) is S.UNDER_WAY
    assert now(closing.cancel_charge("succeeded")) is S.PAID

    for charge in (declined().given(again(), requested(2)), declined().given(again(), requested(2)).lose_charge()):
        assert now(charge.let_time_pass(WEEK)) is S.UNDER_WAY
        assert charge.refuses(again(2)).code == "payment_under_way"


@pytest.mark.parametrize("amount", [4000, 6000])
def test_another_amount_than_the_orders_is_not_told_as_paid(amount: int) -> None:
    payment = declined().given(again(), requested(2)).answer_charge("succeeded", amount)
    assert now(payment) is S.OTHER_AMOUNT
    assert payment.refuses(again(2)).code == "not_payable"


def test_a_refunded_order() -> None:
    payment = declined().given(again(), requested(2)).pay()
    payment.hear(RefundPayment(amount=100)).make_refund()
    assert now(payment) is S.PAID

    payment.hear(RefundPayment()).make_refund()

    assert now(payment) is S.REFUNDED


def test_a_transfer_that_is_awaited_can_be_replaced_by_a_card() -> None:
    payment = PaymentScenario(requested(provider="manual", method="bank_transfer", payment_method=None))
    until = payment.at + WEEK
    reminder = OrderPaymentReminder(
        reminder=1, amount=5000, currency="USD", url=SHOP, until=until, page=page(until, providers=("manual", "stripe"))
    )
    payment.hear(reminder)

    assert now(payment) is S.OPEN
    assert waits_by_hand(payment.state)
    assert retries(payment.hear(again()))


def test_a_store_without_the_provider_refuses_it() -> None:
    assert declined(providers=("manual",)).refuses(again()).code == "provider_not_offered"


def test_a_checkout_of_an_older_build_tells_no_page() -> None:
    payment = PaymentScenario(requested()).decline()
    payment.hear(OrderPaymentDeclined(attempt=1, code="x", text="No.", url=SHOP, until=payment.at + WEEK))

    assert payment.state.page is None
    assert payment.refuses(again()).code == "not_payable"
