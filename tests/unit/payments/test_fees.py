"""What the provider keeps of a charge: kept with the attempt where it is said, and never in a payment's way."""

from __future__ import annotations

from typing import Any

import pytest

from services.payments.domain.operations import ChargeCard, ChargeResult, Fee, FindFee
from services.payments.gateways.stripe.objects import charge_result, fee_of
from services.payments.views import payment_view
from shared.contracts.payment_status import ProviderFee
from shared.contracts.payments import PaymentCaptured
from tests.unit.payments.examples import PaymentScenario, reported, requested

FEE = Fee(175, "EUR", "0.92")


def charged(fee: Fee | None) -> PaymentScenario:
    payment = PaymentScenario(requested())
    return payment.answer(ChargeCard, ChargeCard.Done(ChargeResult("pi_1", "succeeded", 5000, fee=fee)))


def test_it_is_kept_with_the_attempt_in_the_currency_of_the_settlement() -> None:
    payment = charged(FEE)
    assert payment.state.attempts[0].fee == FEE
    assert payment.told().attempts[0].fee == ProviderFee(amount=175, currency="EUR", exchange_rate="0.92")
    (shown,) = payment_view("o-1", payment.state, {})["attempts"]
    assert shown["fee"] == {"amount": 175, "currency": "EUR", "exchange_rate": "0.92"}


def test_without_one_the_payment_is_paid_all_the_same() -> None:
    payment = charged(None)
    assert payment.last.of(PaymentCaptured)
    assert payment.told().attempts[0].fee is None


def test_it_does_not_touch_the_ledger() -> None:
    assert charged(FEE).ledger() == charged(None).ledger()


def test_the_answer_brings_it_after_a_callback_that_had_none() -> None:
    payment = PaymentScenario(requested()).hear(reported("succeeded"))
    assert payment.state.attempts[0].fee is None
    payment.answer(ChargeCard, ChargeCard.Done(ChargeResult("pi_1", "succeeded", 5000, fee=FEE)))
    assert payment.state.attempts[0].fee == FEE
    assert payment.hear(reported("succeeded")).published == []
    assert payment.state.attempts[0].fee == FEE


def confirmed() -> PaymentScenario:
    """By the bank's page: the answer came before, and the report has no fee."""
    return PaymentScenario(requested()).ask_for_3ds().hear(reported("succeeded"))


def test_after_a_report_without_it_the_provider_is_asked_once() -> None:
    payment = confirmed()
    assert payment.requested == [FindFee("stripe", 1, "pi_1")]
    assert payment.hear(reported("succeeded")).requested == []

    payment.answer(FindFee, FindFee.Done(FEE))

    assert payment.state.attempts[0].fee == FEE
    assert payment.told().attempts[0].fee == ProviderFee(amount=175, currency="EUR", exchange_rate="0.92")


def test_it_stays_unknown_where_the_provider_does_not_say_it() -> None:
    payment = confirmed().answer(FindFee, FindFee.Failed("gave_up", "Stripe does not say."))
    assert payment.state.attempts[0].fee is None
    assert payment.published == []


def intent(currency: str = "usd", **movement: Any) -> dict[str, Any]:
    taken = {"fee": 320, "currency": currency, "exchange_rate": None} | movement
    return {"latest_charge": {"balance_transaction": taken}}


@pytest.mark.parametrize(
    ("said", "fee"),
    [
        (intent(), Fee(320, "USD")),
        (intent(exchange_rate=1.1562), Fee(320, "USD", "1.1562")),
        (intent(exchange_rate=0.00006), Fee(320, "USD", "0.00006")),
        (intent("isk", fee=32000), Fee(320, "ISK")),  # with two decimals at Stripe, with none here
        (intent("jpy"), Fee(320, "JPY")),
        (intent("kwd"), Fee(320, "KWD")),
        (intent(fee=0), Fee(0, "USD")),
        (intent("isk", fee=150), None),  # a part of our unit
        (intent(fee=-1), None),
        (intent(fee=None), None),
        (intent(fee=1.5), None),
        (intent("???"), None),
        ({"latest_charge": {"balance_transaction": None}}, None),
        ({"latest_charge": {"balance_transaction": "txn_1"}}, None),
        ({"latest_charge": "ch_1"}, None),
        ({"latest_charge": None}, None),
        ({}, None),
    ],
)
def test_what_stripe_says_of_it(said: dict[str, Any], fee: Fee | None) -> None:
    assert fee_of(said) == fee


def test_a_charge_with_an_odd_fee_has_succeeded() -> None:
    paid = {"id": "pi_1", "status": "succeeded", "amount": 900, "amount_received": 900, "currency": "usd"}
    result = charge_result(paid | intent(fee="much"))
    assert (result.status, result.amount, result.fee) == ("succeeded", 900, None)
