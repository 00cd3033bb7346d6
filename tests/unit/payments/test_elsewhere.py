"""Orders that staff completed by hand: paid without a provider, or given."""

from __future__ import annotations

from typing import Any

import pytest

from services.payments.domain.ledger import PAID_ELSEWHERE, PROVIDER_BALANCE
from services.payments.domain.operations import CancelCharge, RefundCharge
from services.payments.domain.pay_page import Situation, situation
from services.payments.domain.payment import AttemptStatus
from shared.contracts.checkout import OrderCancelled, OrderPaymentClosing
from shared.contracts.order_work import OrderPaidElsewhere
from shared.contracts.payments import (
    PaymentCancelled,
    PaymentCaptured,
    PaymentRefunded,
    PaymentRefundNeeded,
    PaymentSurplusRefunded,
    RefundPayment,
    SettlePayment,
)
from shared.contracts.values import PaymentStatus
from tests.unit.payments.examples import PaymentScenario, item, requested

ITEMS = (item("1", 3000), item("2", 2000))


def elsewhere(attempt: int = 2, **changes: Any) -> OrderPaidElsewhere:
    fields: dict[str, Any] = {
        "attempt": attempt,
        "number": "ORD-ABCDEFGHIJ",
        "store": "s-1",
        "amount": 5000,
        "currency": "USD",
        "items": ITEMS,
        "method": "cash",
        "reference": "R-17",
        "note": "Paid at the counter.",
        "by": "staff:anna",
    }
    return OrderPaidElsewhere(**(fields | changes))


GIVEN = elsewhere(amount=0, given=True, method=None, reference="")


def test_the_ledger_has_it_without_a_provider() -> None:
    payment = PaymentScenario(requested()).decline().hear(elsewhere())

    (captured,) = payment.last.of(PaymentCaptured)
    assert (captured.attempt, captured.amount, captured.provider, captured.method) == (2, 5000, "manual", "cash")
    assert payment.ledger() == {PAID_ELSEWHERE: 5000, "sales": -5000}
    assert (payment.state.status, payment.state.attempts[-1].settled_by) == (PaymentStatus.PAID, "staff:anna")
    assert payment.requested == []


def test_of_an_order_that_was_never_charged() -> None:
    payment = PaymentScenario(elsewhere(attempt=1))
    assert payment.state.status is PaymentStatus.PAID
    assert [share.item for share in payment.state.items] == ["1", "2"]
    assert PaymentScenario(GIVEN).hear(requested()).requested == [], "it is never charged"


def test_it_counts_once() -> None:
    payment = PaymentScenario(elsewhere(1))
    assert payment.hear(elsewhere(1)).published == []
    assert payment.ledger()[PAID_ELSEWHERE] == 5000


@pytest.mark.parametrize("fact", [elsewhere(), GIVEN])
def test_what_the_customer_has_to_confirm_is_cancelled(fact: OrderPaidElsewhere) -> None:
    payment = PaymentScenario(requested()).ask_for_3ds().hear(fact)
    assert [type(wanted) for wanted in payment.requested] == [CancelCharge]
    payment.cancel_charge()
    assert payment.types() == [PaymentCancelled]


@pytest.mark.parametrize("fact", [elsewhere(), GIVEN])
def test_a_charge_that_comes_through_after_it_goes_back(fact: OrderPaidElsewhere) -> None:
    payment = PaymentScenario(requested()).hear(fact)

    payment.pay()

    (refund,) = payment.last.of(RefundCharge)
    assert (refund.amount, refund.charge) == (5000, "pi_1")
    payment.make_refund()
    assert payment.ledger().get(PROVIDER_BALANCE, 0) == 0


def test_a_charge_that_came_through_at_the_same_time_goes_back_and_the_order_stays_paid() -> None:
    payment = PaymentScenario(requested()).pay().hear(elsewhere())

    card, cash = payment.state.attempts
    assert (card.surplus, cash.surplus, payment.state.paying_attempt) == (True, False, cash)
    (refund,) = payment.last.of(RefundCharge)
    assert (refund.amount, refund.charge) == (5000, "pi_1")
    payment.make_refund()
    assert payment.types() == [PaymentSurplusRefunded]
    assert payment.state.status is PaymentStatus.PAID
    assert payment.ledger() == {PAID_ELSEWHERE: 5000, "sales": -5000, PROVIDER_BALANCE: 0}


def test_what_was_captured_of_a_given_order_goes_back() -> None:
    payment = PaymentScenario(requested()).pay().hear(GIVEN)
    assert [wanted.amount for wanted in payment.last.of(RefundCharge)] == [5000]
    assert payment.make_refund().types() == [PaymentRefunded]


@pytest.mark.parametrize("before", [(requested(),), ()])
def test_after_the_order_s_end_it_is_entered_and_owed_back_by_hand(before: tuple[object, ...]) -> None:
    """Checkout's database was restored, and does not know the end."""
    payment = PaymentScenario(*before)
    if before:
        payment.decline()
    payment.hear(OrderCancelled()).hear(elsewhere())

    captured, needed = payment.published[:2]
    assert isinstance(captured, PaymentCaptured) and captured.provider == "manual"
    assert isinstance(needed, PaymentRefundNeeded) and needed.amount == 5000
    assert payment.ledger()[PAID_ELSEWHERE] == 5000
    assert (payment.state.closed_as, payment.state.owed, payment.requested) == ("cancelled", 5000, [])
    assert payment.hear(elsewhere()).published == [], "once"
    settled = SettlePayment(refund=payment.state.refunds[0].id, outcome="refunded", reason="In cash.")
    assert PaymentRefunded in payment.hear(settled).types()
    assert (payment.state.owed, payment.ledger()[PAID_ELSEWHERE]) == (0, 0)


def test_after_an_end_with_a_capture_that_went_back_it_is_owed_besides() -> None:
    payment = PaymentScenario(requested()).pay().hear(OrderCancelled()).make_refund().hear(elsewhere())

    assert PaymentRefundNeeded in payment.types()
    card, cash = payment.state.attempts
    assert (card.surplus, cash.surplus, payment.state.owed) == (False, True, 5000)


def test_of_an_order_that_was_given_before_the_restore_it_is_the_payment() -> None:
    payment = PaymentScenario(requested()).decline().hear(GIVEN).hear(elsewhere())

    assert payment.types() == [PaymentCaptured]
    assert (payment.state.status, payment.state.owed) == (PaymentStatus.PAID, 0)
    assert payment.hear(requested(3)).requested == []


def test_it_is_given_after_its_end_and_nothing_follows() -> None:
    payment = PaymentScenario(requested()).decline().hear(OrderCancelled())
    assert payment.hear(GIVEN).published == []


def test_no_charge_is_begun_after_it() -> None:
    payment = PaymentScenario(requested()).decline().hear(elsewhere())
    assert payment.hear(requested(3)).requested == []
    assert payment.types() == [PaymentCancelled]


def test_a_restored_checkout_that_asks_again_hears_of_it() -> None:
    payment = PaymentScenario(requested()).decline().hear(elsewhere()).hear(OrderPaymentClosing(attempt=1))
    (captured,) = payment.last.of(PaymentCaptured)
    assert captured.provider == "manual"


def test_its_refund_is_made_by_hand() -> None:
    payment = PaymentScenario(elsewhere(1)).hear(RefundPayment(amount=1000))
    assert payment.types() == [PaymentRefundNeeded]
    assert payment.state.attempts[0].status is AttemptStatus.CAPTURED


def test_the_pay_page_of_such_an_order_says_that_nothing_is_to_pay() -> None:
    for fact in (elsewhere(), GIVEN):
        payment = PaymentScenario(requested()).decline().hear(fact)
        assert situation(payment.state, payment.at) is Situation.PAID
