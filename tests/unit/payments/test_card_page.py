"""The pay page of a request whose card is not verified yet."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from services.payments.domain.declines import DeclineReason
from services.payments.domain.operations import ChargeCard
from services.payments.domain.pay_page import (
    ANSWERED_WITHIN,
    Situation,
    bank_page,
    decline_reason,
    situation,
    tries_left,
)
from services.payments.domain.verification import ReleaseVerification, VerifyCard
from services.payments.pay_page_view import Shown, order_page
from shared.contracts.approval import OrderApprovalRequested, OrderCardNeeded, OrderDeclined
from shared.contracts.checkout import OrderCancelled, OrderPaymentDeclined
from shared.contracts.pay_page import PaymentRetryRequested, RetryPayment
from tests.unit.payments.examples import requested
from tests.unit.payments.test_card_verification import CONFIRM, HELD, Verifying, wanted
from tests.unit.payments.test_pay_page import LINK, SHOP, page

S = Situation
NO_FUNDS = VerifyCard.Failed("insufficient_funds", "No.", "pi_v1", reason=DeclineReason.INSUFFICIENT_FUNDS)


def told_of(payment: Verifying, number: int = 1, left: int = 7, **more: Any) -> Verifying:
    until = payment.at + timedelta(days=7)
    told = page(until, 0, tries_left=left)
    payment.hear(OrderCardNeeded(verification=number, url=SHOP, until=until, page=told, **more))
    return payment


def not_verified(left: int = 7, amount: int = 100) -> Verifying:
    payment = Verifying(wanted(amount=amount))
    payment.answer(VerifyCard, NO_FUNDS)
    return told_of(payment, left=left)


def to_confirm() -> Verifying:
    return told_of(Verifying(wanted()).verify(CONFIRM), confirm=True)


def other_card(verification: int = 1, provider: str = "stripe") -> RetryPayment:
    return RetryPayment(attempt=0, provider=provider, payment_method="pm_2", return_url=LINK, verification=verification)


def now(payment: Verifying) -> Situation:
    return situation(payment.state, payment.at)


def test_a_declined_card_can_be_replaced() -> None:
    payment = not_verified()

    assert now(payment) is S.CARD
    assert (decline_reason(payment.state), tries_left(payment.state)) == ("insufficient_funds", 7)
    payment.hear(other_card())
    assert (
        PaymentRetryRequested(attempt=0, provider="stripe", payment_method="pm_2", return_url=LINK, verification=1)
        in payment.published
    )
    assert now(payment) is S.CARD_UNDER_WAY
    assert payment.refuses(other_card()).code == "payment_under_way"


def test_where_checkout_does_not_answer_the_customer_is_asked_again() -> None:
    payment = not_verified().hear(other_card())
    payment.at += ANSWERED_WITHIN
    assert now(payment) is S.CARD


def test_the_new_card_is_verified_and_the_store_decides() -> None:
    payment = not_verified().given(other_card(), wanted(2))
    assert now(payment) is S.CARD_UNDER_WAY
    payment.verify(HELD)
    assert now(payment) is S.CARD_VERIFIED
    payment.at += timedelta(days=30)
    assert now(payment) is S.CARD_VERIFIED, "the store takes its time"
    assert payment.refuses(other_card(2)).code == "not_payable"
    payment.hear(requested(kept_card=True))
    assert now(payment) is S.UNDER_WAY, "it was accepted"


def test_a_charge_that_is_declined_after_the_time_to_give_a_card_is_awaited_from_checkout() -> None:
    payment = not_verified(left=3).hear(wanted(2))
    payment.verify(HELD)
    payment.at += timedelta(days=8)
    payment.hear(requested(kept_card=True))
    payment.answer(ChargeCard, ChargeCard.Failed("card_declined", "No.", "pi_1"))
    assert now(payment) is S.UNDER_WAY, "the time to pay, and how often, checkout has not told yet"
    payment.at += ANSWERED_WITHIN
    assert now(payment) is S.UNDER_WAY

    told = page(payment.at + timedelta(days=7), 1, tries_left=4)
    payment.hear(
        OrderPaymentDeclined(attempt=1, code="card_declined", text="No.", url=SHOP, until=told.until, page=told)
    )
    assert (now(payment), tries_left(payment.state)) == (S.OPEN, 4)


def test_a_second_decline_counts_before_checkout_tells_of_it() -> None:
    payment = not_verified(left=1).hear(wanted(2))
    payment.answer(VerifyCard, NO_FUNDS)
    assert now(payment) is S.CARD_NO_TRY_LEFT
    assert payment.refuses(other_card(2)).code == "too_many_attempts"


def test_the_bank_is_asked_and_another_card_can_be_given_instead() -> None:
    payment = to_confirm()
    assert (now(payment), bank_page(payment.state)) == (S.CARD_CONFIRM, CONFIRM.url)
    payment.hear(other_card())
    assert now(payment) is S.CARD_UNDER_WAY


@pytest.mark.parametrize(
    ("ends", "then"),
    [(OrderCancelled(reason="", code="abandoned"), S.CANCELLED), (OrderDeclined(), S.DECLINED)],
)
def test_a_request_that_has_ended_takes_no_card(ends: object, then: Situation) -> None:
    payment = not_verified().hear(ends)
    assert now(payment) is then
    assert payment.refuses(other_card()).code == "not_payable"


APPROVAL = OrderApprovalRequested(amount=5000, currency="USD")


def test_who_pays_by_hand_once_the_request_is_accepted_is_asked_for_no_card() -> None:
    payment = not_verified().hear(APPROVAL)
    assert now(payment) is S.RECEIVED
    assert payment.refuses(other_card()).code == "not_payable"
    payment.at += timedelta(days=30)
    assert now(payment) is S.RECEIVED, "the store takes its time"
    assert payment.state.page
    html = order_page(payment.state, payment.state.page.told, payment.at, Shown("N", None, "a-key"))
    assert "The store looks at your request" in html
    assert "verif" not in html


def test_what_is_paid_by_hand_can_be_paid_by_card_once_it_is_accepted() -> None:
    """Cards that were declined before are no payments."""
    payment = not_verified(left=1).given(APPROVAL, requested(provider="manual"))
    assert (now(payment), tries_left(payment.state)) == (S.OPEN, 1)


def test_a_card_that_is_awaited_no_more_cannot_be_confirmed_either() -> None:
    payment = to_confirm().hear(APPROVAL)
    assert payment.operation(ReleaseVerification).reference == CONFIRM.reference
    assert now(payment) is S.RECEIVED


def test_a_verified_card_is_kept_while_the_store_decides() -> None:
    payment = told_of(Verifying(wanted()).verify(HELD)).hear(APPROVAL)
    assert now(payment) is S.CARD_VERIFIED


def test_it_ends_with_the_time_to_give_a_card() -> None:
    payment = not_verified()
    payment.at += timedelta(days=7)
    assert now(payment) is S.CANCELLED


def test_what_is_wrong_is_refused() -> None:
    assert not_verified().refuses(other_card(provider="paypal")).code == "provider_not_offered"
    assert not_verified().refuses(other_card(7)).code == "payment_under_way"
    paying = RetryPayment(attempt=0, provider="stripe", payment_method="pm_2", return_url=LINK)
    assert not_verified().refuses(paying).code == "not_payable", "nothing is charged before it is accepted"


def test_a_checkout_of_an_older_build_tells_nothing() -> None:
    payment = Verifying(wanted())
    payment.answer(VerifyCard, NO_FUNDS)
    payment.hear(OrderCardNeeded(verification=1, url=SHOP, until=payment.at + timedelta(days=7)))
    assert payment.state.page is None


@pytest.mark.parametrize(
    ("amount", "said"), [(100, "$1.00 is authorised and released at once"), (0, "no amount is authorised")]
)
def test_the_page_says_that_nothing_is_charged_and_what_is_authorised(amount: int, said: str) -> None:
    payment = not_verified(amount=amount)
    assert payment.state.page
    html = order_page(payment.state, payment.state.page.told, payment.at, Shown("N", None, "a-key"))
    assert "You are not charged now." in html
    assert said in html
    assert "Your card has insufficient funds." in html
