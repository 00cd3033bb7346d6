"""A card is verified and kept before the order is accepted; what was authorised is released, whatever happens."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from services.payments.domain.declines import DeclineReason
from services.payments.domain.invariants import broken
from services.payments.domain.operations import ChargeReported, ChargeResult
from services.payments.domain.verification import (
    FindVerification,
    ForgetCard,
    ReleaseVerification,
    VerificationReported,
    VerificationResult,
    VerificationStatus,
    VerifyCard,
)
from shared.contracts.approval import OrderDeclined, OrderVerificationRequested
from shared.contracts.card_verification import (
    PaymentVerificationActionRequired,
    PaymentVerificationDeclined,
    PaymentVerified,
)
from shared.contracts.checkout import OrderCancelled
from shared.contracts.payments import PaymentCaptured, PaymentRefunded
from shared.contracts.values import PaymentStatus
from shared.core.scenario import START
from tests.unit.payments.examples import VISA, PaymentScenario, item, requested

CHECK, RELEASE = "check_verification_1", "release_1"
"""Timers."""
HELD = VerificationResult("pi_v1", "verified", 100, card=VISA, customer="cus_1", payment_method="pm_kept")
RELEASED = VerificationResult("pi_v1", "cancelled")
CONFIRM = VerificationResult("pi_v1", "requires_action", url="https://bank.example/3ds")


def wanted(number: int = 1, amount: int = 100, **more: Any) -> OrderVerificationRequested:
    fields: dict[str, Any] = {
        "verification": number,
        "number": "ORD-ABCDEFGHIJ",
        "store": "s-1",
        "amount": amount,
        "currency": "USD",
        "items": (item("1", 3000), item("2", 2000)),
        "customer_email": "ann@example.com",
        "return_url": "https://shop.example/orders/o-1",
        "requested_at": START,
        "until": START + timedelta(days=7),
        "payment_method": f"pm_{number}",
    }
    return OrderVerificationRequested(**(fields | more))


class Verifying(PaymentScenario):
    def verify(self, result: VerificationResult = HELD) -> Verifying:
        self.answer(VerifyCard, VerifyCard.Done(result))
        return self

    def release(self, result: VerificationResult = RELEASED) -> Verifying:
        self.answer(ReleaseVerification, ReleaseVerification.Done(result))
        return self

    @property
    def status(self) -> VerificationStatus:
        return self.state.verifications[-1].status


def test_what_is_authorised_is_released_at_once_and_the_card_is_kept() -> None:
    payment = Verifying(wanted())
    call = payment.operation(VerifyCard)
    assert (call.amount, call.currency, call.payment_method, call.key) == (100, "USD", "pm_1", "o-1.verification.1")
    payment.verify()
    assert payment.published == [PaymentVerified(verification=1, card=VISA)]
    assert payment.state.verifications[0].held == 100
    payment.release()
    assert payment.state.verifications[0].held == 0
    assert (payment.status, payment.open) == (VerificationStatus.VERIFIED, [])
    assert payment.state.status is PaymentStatus.PENDING
    assert payment.ledger() == {}, "no money has moved"


def test_the_kept_card_is_charged_once_while_the_customer_is_away() -> None:
    payment = Verifying(wanted()).verify().release()
    payment.hear(requested(payment_method=None, kept_card=True))
    charge = payment.charge()
    assert (charge.payment_method, charge.customer, charge.amount) == ("pm_kept", "cus_1", 5000)
    payment.decline()
    payment.hear(requested(2))
    assert (payment.charge().payment_method, payment.charge().customer) == ("pm_2", "")


def test_a_card_that_is_set_up_holds_nothing() -> None:
    payment = Verifying(wanted(amount=0))
    payment.verify(VerificationResult("seti_1", "verified", card=VISA, customer="cus_1", payment_method="pm_kept"))
    assert payment.published == [PaymentVerified(verification=1, card=VISA)]
    assert payment.open == []


def test_a_declined_card_is_told_in_words_of_the_list() -> None:
    payment = Verifying(wanted())
    failed = VerifyCard.Failed("do_not_honor", "Not honored.", card=VISA, reason=DeclineReason.CARD_DECLINED)
    (told,) = payment.answer(VerifyCard, failed).published
    assert isinstance(told, PaymentVerificationDeclined)
    assert (told.code, told.detail) == ("do_not_honor", "Not honored.")
    assert told.text == "Your card was declined. Use another card, or ask your bank."
    assert payment.hear(wanted()).requested == [], "the same request again"
    assert [type(it) for it in payment.hear(wanted(2)).requested] == [VerifyCard]


def test_a_card_to_be_confirmed_is_checked_until_it_is() -> None:
    payment = Verifying(wanted()).verify(CONFIRM)
    assert payment.published == [PaymentVerificationActionRequired(verification=1, url=CONFIRM.url)]
    payment.let_go_off(CHECK)
    assert payment.operation(FindVerification).reference == "pi_v1"
    payment.answer(FindVerification, FindVerification.Done(HELD))
    assert payment.published == [PaymentVerified(verification=1, card=VISA)]
    assert [type(it) for _, it in payment.open] == [ReleaseVerification]
    assert not payment.timer(CHECK)


def test_the_providers_report_and_its_answer_may_come_in_either_order_and_twice() -> None:
    payment = Verifying(wanted(), VerificationReported(1, HELD))
    assert payment.published == [PaymentVerified(verification=1, card=VISA)]
    assert payment.verify().published == []
    assert len([it for _, it in payment.open if isinstance(it, ReleaseVerification)]) == 1
    payment.release()
    assert payment.hear(VerificationReported(1, HELD)).published == []
    assert payment.hear(VerificationReported(1, VerificationResult("pi_other", "verified", 100))).requested == []


def test_another_card_ends_the_confirmation_of_the_first() -> None:
    payment = Verifying(wanted()).verify(CONFIRM)
    payment.hear(wanted(2))
    payment.release()
    assert payment.state.verifications[0].status is VerificationStatus.CANCELLED
    assert payment.published == []
    payment.hear(VerificationReported(1, HELD))
    assert payment.published == [], "the order waits for the second"
    assert [type(it) for it in payment.requested] == [ReleaseVerification]


# Released in any case


def test_a_release_that_fails_is_owed_until_it_is_done() -> None:
    payment = Verifying(wanted()).verify()
    waits = []
    for _ in range(3):
        payment.answer(ReleaseVerification, ReleaseVerification.Failed("api_error", "No."))
        assert payment.state.verifications[0].held == 100
        timer = payment.timer(RELEASE)
        assert timer
        waits.append((timer.due - payment.at) / timedelta(minutes=10))
        payment.let_go_off(RELEASE)
    assert waits == [1, 2, 4]
    payment.release()
    assert payment.state.verifications[0].held == 0


def test_what_is_authorised_after_the_order_has_ended_is_released_and_not_told() -> None:
    for end in (OrderDeclined(), OrderCancelled()):
        payment = Verifying(wanted(), end).verify()
        assert payment.published == []
        payment.release()
        assert (payment.status, payment.state.verifications[0].held) == (VerificationStatus.CANCELLED, 0)


def test_the_card_of_an_order_that_has_ended_cannot_be_confirmed() -> None:
    payment = Verifying(wanted()).verify(CONFIRM)
    payment.hear(OrderDeclined())
    assert payment.status is VerificationStatus.CANCELLING
    payment.release()
    assert (payment.status, payment.published) == (VerificationStatus.CANCELLED, [])


def test_a_verification_of_unknown_outcome_is_looked_for_and_released() -> None:
    payment = Verifying(wanted())
    payment.answer(VerifyCard, VerifyCard.Unresolved("no answer"))
    payment.hear(OrderCancelled(code="not_verified")).let_go_off(CHECK)
    payment.answer(FindVerification, FindVerification.Unresolved("no answer")).let_go_off(CHECK)
    payment.answer(FindVerification, FindVerification.Done(HELD))
    payment.release()
    assert payment.state.verifications[0].held == 0
    payment.answer(ForgetCard, ForgetCard.Done())
    assert broken(payment.state, at_rest=True) == []


def test_at_rest_nothing_is_held_without_its_release() -> None:
    payment = Verifying(wanted()).verify()
    assert broken(payment.state, at_rest=True) == ["what a verification holds is being released"]


def test_a_verification_that_someone_captured_at_the_provider_pays_nothing() -> None:
    payment = Verifying(wanted()).verify().release()
    captured = ChargeResult("pi_v1", "succeeded", 100, requested=100, currency="USD", store="s-1", key="x")
    payment.hear(ChargeReported(0, captured))
    assert payment.state.captured == 0
    assert [stray.reference for stray in payment.state.strays] == ["pi_v1"]


def test_a_capture_after_the_order_was_declined_is_refunded() -> None:
    """Checkout charges accepted orders only: its database was restored."""
    payment = Verifying(wanted()).verify().release()
    payment.hear(requested(payment_method=None, kept_card=True)).hear(OrderDeclined())
    payment.pay()
    assert payment.types() == [PaymentCaptured]
    payment.make_refund()
    (refund,) = payment.published
    assert isinstance(refund, PaymentRefunded)
    assert (refund.amount, refund.reason) == (5000, "order_declined")


def test_an_order_that_ended_before_its_card_was_to_be_verified_is_not_verified() -> None:
    """After a restore of checkout's database the request can come behind the end."""
    payment = Verifying(OrderDeclined(), wanted())
    assert payment.requested == []
    (declined,) = payment.published
    assert isinstance(declined, PaymentVerificationDeclined)
    assert declined.code == "order_ended"
    assert payment.hear(requested(payment_method=None, kept_card=True)).requested == []


def forgets(payment: Verifying) -> list[str]:
    return [it.payment_method for _, it in payment.open if isinstance(it, ForgetCard)]


def test_the_kept_card_is_forgotten_once_its_charge_has_ended() -> None:
    payment = Verifying(wanted()).verify().release()
    payment.hear(requested(payment_method=None, kept_card=True))
    assert forgets(payment) == [], "it is being charged"
    payment.decline()
    assert forgets(payment) == ["pm_kept"]
    payment.answer(ForgetCard, ForgetCard.Done())
    payment.hear(requested(2))
    payment.pay()
    assert forgets(payment) == [], "once"
    assert broken(payment.state, at_rest=True) == []


def test_the_kept_card_of_an_order_that_ends_is_forgotten() -> None:
    payment = Verifying(wanted()).verify().release().hear(OrderDeclined())
    assert forgets(payment) == ["pm_kept"]
    assert broken(payment.state, at_rest=True) == ["a kept card that is not needed any more is being forgotten"]


def test_a_card_that_is_charged_when_the_order_ends_is_forgotten_then() -> None:
    payment = Verifying(wanted()).verify().release()
    payment.hear(requested(payment_method=None, kept_card=True)).hear(OrderCancelled(reason=""))
    assert forgets(payment) == []
    payment.pay()
    assert forgets(payment) == ["pm_kept"]


def test_a_card_that_is_verified_too_late_is_forgotten() -> None:
    payment = Verifying(wanted(amount=0)).verify(CONFIRM).hear(OrderDeclined())
    late = VerificationResult("pi_v1", "verified", card=VISA, customer="cus_1", payment_method="pm_kept")
    payment.hear(VerificationReported(1, late))
    assert forgets(payment) == ["pm_kept"]


def test_a_card_that_could_not_be_forgotten_is_asked_for_until_it_is() -> None:
    payment = Verifying(wanted()).verify().release().hear(OrderDeclined())
    payment.answer(ForgetCard, ForgetCard.Failed("rejected", "Not now."))
    assert forgets(payment) == []
    payment.let_go_off("forget_1")
    assert forgets(payment) == ["pm_kept"]
    payment.answer(ForgetCard, ForgetCard.Done())
    assert payment.state.verifications[0].forgotten
    assert not payment.timer("forget_1")


def test_a_card_that_was_confirmed_unheard_and_is_cancelled_is_forgotten() -> None:
    payment = Verifying(wanted()).verify(CONFIRM).hear(OrderDeclined())
    payment.release(VerificationResult("pi_v1", "cancelled", payment_method="pm_kept"))
    assert forgets(payment) == ["pm_kept"]


def test_an_earlier_card_is_kept_while_another_one_is_verified_for_they_may_be_the_same() -> None:
    payment = Verifying(wanted()).verify(CONFIRM).hear(wanted(2))
    payment.release(VerificationResult("pi_v1", "cancelled", payment_method="pm_kept"))
    assert forgets(payment) == []
    payment.verify().release().hear(OrderDeclined())
    assert forgets(payment) == ["pm_kept", "pm_kept"]
