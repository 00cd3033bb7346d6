"""A person says what became of a call whose outcome nobody could find out; the provider may know better later."""

from __future__ import annotations

from typing import Any

import pytest

from services.payments.domain.operations import (
    ChargeReported,
    FindCharge,
    FindRefund,
    LookAgain,
    RefundCharge,
    RefundReported,
)
from services.payments.domain.payment import AttemptStatus, RefundStatus
from shared.contracts.checkout import OrderCancelled
from shared.contracts.payments import (
    PaymentCancelled,
    PaymentCaptured,
    PaymentDeclined,
    PaymentRefunded,
    PaymentRefundFailed,
    PaymentSettled,
    PaymentSettlementContradicted,
    RefundPayment,
    SettlePayment,
)
from shared.contracts.values import PaymentStatus
from shared.core import Event
from tests.unit.payments.conversation import Conversation, requested

WHY = "Looked up in the dashboard."


def attempt_is(outcome: str, **more: Any) -> SettlePayment:
    return SettlePayment.model_validate({"attempt": 1, "outcome": outcome, "reason": WHY} | more)


def captured(reference: str = "pi_9") -> SettlePayment:
    return attempt_is("captured", reference=reference, amount=5000)


def unknown() -> Conversation:
    return Conversation(requested()).charge_unknown()


def refund_is(talk: Conversation, outcome: str, **more: Any) -> SettlePayment:
    wish = {"refund": talk.state.refunds[0].id, "outcome": outcome, "reason": WHY}
    return SettlePayment.model_validate(wish | more)


def refund_unknown() -> Conversation:
    talk = Conversation(requested()).paid().hear(RefundPayment())
    return talk.hear(RefundCharge.Unresolved("no answer"), talk.latest(RefundCharge))


def types(talk: Conversation) -> list[type[Event]]:
    return [type(event) for event in talk.events]


def test_it_was_captured() -> None:
    talk = unknown().hear(captured())
    settled, told = talk.events
    assert settled == PaymentSettled(attempt=1, outcome="captured", reference="pi_9", reason=WHY)
    assert isinstance(told, PaymentCaptured)
    assert (told.amount, told.transaction) == (5000, "pi_9")
    assert talk.ledger() == {"provider_balance": 5000, "sales": -5000}
    assert talk.state.status is PaymentStatus.PAID
    assert talk.hear(LookAgain(1)).operations == []


def test_it_was_not_charged_and_the_customer_may_pay_again() -> None:
    talk = unknown().hear(attempt_is("not_charged"))
    told = talk.events[1]
    assert isinstance(told, PaymentDeclined)
    assert (told.reason, told.detail) == ("not_charged", WHY)
    assert WHY not in told.text
    assert talk.hear(requested(2)).paid().state.status is PaymentStatus.PAID


def test_the_attempt_that_waited_goes_on() -> None:
    talk = unknown().hear(requested(2)).hear(attempt_is("not_charged"))
    assert talk.charge().attempt == 2
    talk = unknown().hear(requested(2)).hear(captured())
    assert types(talk) == [PaymentSettled, PaymentCaptured, PaymentCancelled]


def test_what_was_captured_for_a_cancelled_order_goes_back() -> None:
    talk = unknown().hear(OrderCancelled()).hear(captured())
    refund = talk.latest(RefundCharge)
    assert (refund.charge, refund.amount) == ("pi_9", 5000)


def test_the_provider_confirms_what_was_settled() -> None:
    talk = unknown().hear(captured()).hear(ChargeReported(1, "pi_9", "succeeded", 5000))
    assert talk.events == []
    assert talk.ledger()["provider_balance"] == 5000


def test_the_provider_captured_what_was_settled_as_not_charged() -> None:
    talk = unknown().hear(attempt_is("not_charged")).hear(ChargeReported(1, "pi_1", "succeeded", 5000))
    assert types(talk) == [PaymentSettlementContradicted, PaymentCaptured]
    assert talk.ledger()["provider_balance"] == 5000
    assert talk.state.status is PaymentStatus.PAID


def test_the_provider_captured_under_another_reference() -> None:
    talk = unknown().hear(captured("pi_typo")).hear(ChargeReported(1, "pi_1", "succeeded", 5000))
    assert types(talk)[0] is PaymentSettlementContradicted
    assert "pi_1" in talk.events[0].text  # type: ignore[attr-defined]
    assert talk.balance_by_reference() == {"pi_1": 5000}
    assert talk.state.captured == 5000


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_the_provider_never_captured_what_was_settled_as_captured(status: Any) -> None:
    talk = unknown().hear(captured("pi_1")).hear(ChargeReported(1, "pi_1", status))
    assert types(talk)[0] is PaymentSettlementContradicted
    assert talk.balance_by_reference() == {}
    assert (talk.state.captured, talk.state.status) == (0, PaymentStatus.FAILED)


def test_a_look_that_was_under_way_when_it_was_settled_does_not_undo_it() -> None:
    talk = unknown().hear(LookAgain(1))
    talk.hear(captured()).looked_up(FindCharge.Done("", "failed", code="not_charged"))
    assert talk.events == []
    assert talk.state.status is PaymentStatus.PAID


def test_it_was_refunded() -> None:
    talk = refund_unknown()
    talk.hear(refund_is(talk, "refunded", reference="re_9"))
    assert types(talk) == [PaymentSettled, PaymentRefunded]
    assert talk.balance_by_reference() == {"pi_1": 5000, "re_9": -5000}
    assert talk.hear(RefundReported(talk.state.refunds[0].id, "re_9", "succeeded")).events == []
    talk.hear(RefundReported(talk.state.refunds[0].id, "re_9", "failed", "expired_or_canceled_card"))
    assert types(talk) == [PaymentRefundFailed]


def test_it_was_refunded_under_another_reference() -> None:
    talk = refund_unknown()
    talk.hear(refund_is(talk, "refunded", reference="re_typo"))
    talk.hear(RefundReported(talk.state.refunds[0].id, "re_1", "succeeded"))
    assert types(talk) == [PaymentSettlementContradicted]
    assert talk.balance_by_reference() == {"pi_1": 5000, "re_1": -5000}
    assert talk.state.refunds[0].reference == "re_1"


def test_it_was_not_refunded_and_may_be_asked_for_again() -> None:
    talk = refund_unknown()
    talk.hear(refund_is(talk, "not_refunded"))
    assert types(talk) == [PaymentSettled, PaymentRefundFailed]
    assert talk.state.left == 5000
    talk.hear(RefundReported(talk.state.refunds[0].id, "re_1", "succeeded"))
    assert types(talk) == [PaymentSettlementContradicted, PaymentRefunded]
    assert talk.state.refunds[0].status is RefundStatus.DONE


def test_who_settled_it_is_kept() -> None:
    assert unknown().hear(captured()).state.attempts[0].settled_by == "test"


@pytest.mark.parametrize(
    ("command", "codes"),
    [
        (attempt_is("captured", refund="r-1"), ["ambiguous"]),
        (SettlePayment(outcome="captured", reason=WHY), ["ambiguous"]),
        (attempt_is("refunded", attempt=7, reference="x"), ["wrong_outcome", "unknown_attempt"]),
        (SettlePayment(refund="r-1", outcome="refunded", reason=WHY), ["unknown_refund"]),
        (attempt_is("captured", amount=1), ["missing_reference", "wrong_amount"]),
        (attempt_is("not_charged", reference="pi_1"), ["no_reference"]),
    ],
)
def test_a_settlement_that_does_not_fit_is_refused_with_every_problem(command: SettlePayment, codes: list[str]) -> None:
    talk = unknown().hear(command)
    assert talk.refused is not None
    assert [problem.code for problem in talk.refused.problems] == codes


def test_what_is_known_cannot_be_settled() -> None:
    talk = Conversation(requested()).paid().hear(attempt_is("not_charged"))
    assert talk.refused is not None
    assert talk.refused.code == "not_unresolved"
    assert "captured" in talk.refused.text
    nothing = Conversation(captured())
    assert nothing.refused is not None
    assert nothing.refused.code == "not_found"
    talk = Conversation(requested()).declined().hear(requested(2)).charge_unknown()
    talk.hear(attempt_is("captured", attempt=2, reference="pi_2"))
    talk = talk.hear(requested(3))
    assert talk.state.attempts[1].status is AttemptStatus.CAPTURED


def looks(talk: Conversation) -> list[str]:
    return [operation.reference for operation in talk.operations if isinstance(operation, FindCharge)]


def test_what_a_person_says_is_looked_up_once_more() -> None:
    assert looks(unknown().hear(captured("pi_9"))) == ["pi_9"]
    talk = unknown().hear(attempt_is("not_charged"))
    assert looks(talk) == [""]
    talk.looked_up(FindCharge.Done("pi_1", "succeeded", 5000))
    assert types(talk) == [PaymentSettlementContradicted, PaymentCaptured]
    talk = refund_unknown()
    talk.hear(refund_is(talk, "not_refunded"))
    assert [type(operation) for operation in talk.operations] == [FindRefund]


def test_a_reference_that_is_not_to_be_found_is_told_and_the_right_one_looked_for() -> None:
    talk = unknown().hear(captured("pi_typo"))
    talk.hear(FindCharge.Failed("resource_missing", "No such payment_intent."), talk.latest(FindCharge))
    assert types(talk) == [PaymentSettlementContradicted]
    assert looks(talk) == [""]
    talk.looked_up(FindCharge.Done("pi_1", "succeeded", 5000))
    assert talk.balance_by_reference() == {"pi_1": 5000}


def test_what_was_to_be_refunded_of_a_wrong_payment_is_refunded_of_the_right_one() -> None:
    talk = unknown().hear(OrderCancelled()).hear(captured("pi_typo"))
    wrong = talk.latest(RefundCharge)
    assert (wrong.charge, wrong.unconfirmed) == ("pi_typo", True)
    talk.hear(ChargeReported(1, "pi_1", "succeeded", 5000))
    assert types(talk) == [PaymentSettlementContradicted, PaymentRefundFailed, PaymentCaptured]
    right = talk.latest(RefundCharge)
    assert (right.charge, right.amount, right.unconfirmed) == ("pi_1", 5000, False)
    assert right.refund != wrong.refund
    talk.refunded(right)
    assert talk.state.refunded == talk.state.captured == 5000


def test_what_was_to_be_refunded_of_a_payment_that_never_came_about_is_owed_no_more() -> None:
    talk = unknown().hear(OrderCancelled()).hear(captured("pi_1")).hear(ChargeReported(1, "pi_1", "failed"))
    assert types(talk)[:2] == [PaymentSettlementContradicted, PaymentRefundFailed]
    assert (talk.state.captured, talk.state.pending, talk.balance_by_reference()) == (0, 0, {})
