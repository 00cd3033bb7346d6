"""Charging: whichever way the provider's word comes, one order is charged once."""

from __future__ import annotations

from pydantic import TypeAdapter

from services.payments.domain.ledger import AttemptRecord
from services.payments.domain.operations import (
    CancelCharge,
    ChargeCard,
    ChargeReported,
    FindCharge,
    LookAgain,
    RefundCharge,
)
from services.payments.domain.payment import AttemptStatus, Payment
from services.payments.storage import payment_columns
from shared.contracts.checkout import OrderCancelled, OrderExpired
from shared.contracts.payments import (
    PaymentActionRequired,
    PaymentCancelled,
    PaymentCaptured,
    PaymentDeclined,
    PaymentRefunded,
    PaymentSurplusRefunded,
    PaymentUnresolved,
)
from shared.contracts.values import OrderStatus, PaymentStatus
from tests.unit.payments.conversation import START, VISA, Conversation, requested


def test_a_request_becomes_one_charge() -> None:
    talk = Conversation(requested())
    charge = talk.charge()
    assert (charge.attempt, charge.amount, charge.currency, charge.payment_method) == (1, 5000, "USD", "pm_1")
    assert talk.events == []
    assert talk.hear(requested()).operations == []


def test_the_answer_says_paid() -> None:
    talk = Conversation(requested()).paid()
    (captured,) = talk.events
    assert isinstance(captured, PaymentCaptured)
    assert (captured.amount, captured.transaction, captured.card) == (5000, "pi_1", VISA)
    assert talk.ledger() == {"provider_balance": 5000, "sales": -5000}
    assert talk.state.status is PaymentStatus.PAID


def test_the_callback_after_the_answer_changes_nothing() -> None:
    talk = Conversation(requested()).paid()
    before = talk.payment
    talk.hear(ChargeReported(1, "pi_1", "succeeded", 5000))
    assert (talk.payment, talk.events, talk.records) == (before, [], [])


def test_the_answer_after_the_callback_adds_the_card_only() -> None:
    talk = Conversation(requested(), ChargeReported(1, "pi_1", "succeeded", 5000))
    assert isinstance(talk.events[0], PaymentCaptured)
    talk.paid()
    assert (talk.events, talk.records) == ([], [])
    assert talk.state.paid is not None and talk.state.paid.card == VISA


def test_a_late_word_of_3ds_after_the_capture_is_old_news() -> None:
    talk = Conversation(requested(), ChargeReported(1, "pi_1", "succeeded", 5000))
    talk.asked_for_3ds()
    assert talk.events == []
    assert talk.state.status is PaymentStatus.PAID


def test_old_news_of_a_failure_changes_no_capture_and_no_call_off() -> None:
    failed = ChargeReported(1, "pi_1", "failed", code="card_declined", text="No.")
    talk = Conversation(requested()).paid().hear(failed)
    assert (talk.events, talk.state.status) == ([], PaymentStatus.PAID)
    talk = Conversation(requested()).asked_for_3ds().hear(OrderCancelled()).hear(failed)
    assert talk.events == []
    assert talk.called_off().events == [PaymentCancelled(attempt=1)]


def test_a_declined_card_and_another_that_is_good() -> None:
    talk = Conversation(requested()).declined()
    (failed,) = talk.events
    assert isinstance(failed, PaymentDeclined)
    assert (failed.code, failed.card) == ("insufficient_funds", VISA)
    assert talk.state.status is PaymentStatus.FAILED
    talk.hear(requested(2)).paid()
    assert isinstance(talk.events[0], PaymentCaptured)
    assert talk.events[0].attempt == 2


def test_the_failure_is_told_once_by_callback_and_answer() -> None:
    talk = Conversation(requested(), ChargeReported(1, "pi_1", "failed", code="card_declined", text="No."))
    assert isinstance(talk.events[0], PaymentDeclined)
    assert talk.declined().events == []


def test_the_customer_must_confirm_and_does() -> None:
    talk = Conversation(requested()).asked_for_3ds()
    assert talk.events == [PaymentActionRequired(attempt=1, url="https://bank.example/1")]
    talk.hear(ChargeReported(1, "pi_1", "succeeded", 5000))
    (captured,) = talk.events
    assert isinstance(captured, PaymentCaptured)
    assert captured.card == VISA


def test_the_customer_fails_to_confirm() -> None:
    talk = Conversation(requested()).asked_for_3ds()
    talk.hear(ChargeReported(1, "pi_1", "failed", code="payment_intent_authentication_failure", text="No."))
    assert isinstance(talk.events[0], PaymentDeclined)


def test_a_new_attempt_calls_the_open_one_off_first() -> None:
    talk = Conversation(requested()).asked_for_3ds().hear(requested(2))
    assert talk.operations == [CancelCharge("stripe", "o-1", 1, "pi_1")]
    talk.called_off()
    assert talk.events == [PaymentCancelled(attempt=1)]
    assert [type(operation) for operation in talk.operations] == [ChargeCard]
    assert talk.charge().attempt == 2


def test_the_open_attempt_was_paid_before_it_could_be_called_off() -> None:
    talk = Conversation(requested()).asked_for_3ds().hear(requested(2)).called_off("succeeded")
    assert [type(event) for event in talk.events] == [PaymentCaptured, PaymentCancelled]
    assert talk.events[-1] == PaymentCancelled(attempt=2)
    assert talk.operations == []


def test_a_new_attempt_waits_for_the_one_in_flight() -> None:
    talk = Conversation(requested(), requested(2))
    assert talk.operations == []
    talk.declined()
    assert talk.charge().attempt == 2


def test_a_new_attempt_after_the_capture_is_not_charged() -> None:
    talk = Conversation(requested()).paid().hear(requested(2))
    assert talk.events == [PaymentCancelled(attempt=2)]
    assert talk.operations == []


def test_a_third_attempt_takes_the_place_of_the_second_that_waits() -> None:
    talk = Conversation(requested(), requested(2), requested(3))
    assert talk.events == [PaymentCancelled(attempt=2)]
    assert talk.declined().charge().attempt == 3


def test_3ds_that_comes_while_another_attempt_waits_is_called_off_unseen() -> None:
    talk = Conversation(requested(), requested(2)).asked_for_3ds()
    assert talk.events == []
    assert talk.operations == [CancelCharge("stripe", "o-1", 1, "pi_1")]


def test_a_second_capture_for_the_order_is_given_back() -> None:
    talk = Conversation(requested()).declined().hear(requested(2)).paid()
    talk.hear(ChargeReported(1, "pi_1", "succeeded", 5000))
    assert talk.events == []
    refund = talk.latest(RefundCharge)
    assert (refund.charge, refund.amount) == ("pi_1", 5000)
    talk.refunded()
    (surplus,) = talk.events
    assert isinstance(surplus, PaymentSurplusRefunded)
    assert talk.ledger() == {"provider_balance": 5000, "sales": -5000}
    assert talk.state.status is PaymentStatus.PAID
    assert talk.state.left == 5000


def test_cancelled_before_the_answer_the_money_goes_back() -> None:
    talk = Conversation(requested(), OrderCancelled())
    assert talk.operations == []
    talk.paid()
    assert [type(event) for event in talk.events] == [PaymentCaptured]
    assert talk.latest(RefundCharge).amount == 5000
    talk.refunded()
    (refunded,) = talk.events
    assert isinstance(refunded, PaymentRefunded)
    assert [line.whole for line in refunded.items] == [True, True]
    assert talk.ledger() == {"provider_balance": 0, "sales": 0}


def test_cancelled_while_the_customer_should_confirm() -> None:
    talk = Conversation(requested()).asked_for_3ds().hear(OrderCancelled())
    assert talk.operations == [CancelCharge("stripe", "o-1", 1, "pi_1")]
    assert talk.called_off().events == [PaymentCancelled(attempt=1)]
    assert talk.hear(OrderExpired(was=OrderStatus.PENDING_PAYMENT)).operations == []


def test_3ds_asked_for_after_the_cancel_is_called_off_and_never_shown() -> None:
    talk = Conversation(requested(), OrderCancelled()).asked_for_3ds()
    assert talk.events == []
    assert talk.operations == [CancelCharge("stripe", "o-1", 1, "pi_1")]


def test_cancelled_after_the_capture_what_is_left_goes_back() -> None:
    talk = Conversation(requested()).paid().hear(OrderCancelled())
    assert talk.latest(RefundCharge).amount == 5000


def test_an_order_that_nobody_knows_is_left_alone() -> None:
    talk = Conversation(OrderCancelled(), ChargeReported(1, "pi_1", "succeeded", 5000))
    assert (talk.payment, talk.wanted, talk.told) == (None, [], [])


def test_a_request_for_a_closed_order_is_answered_but_not_charged() -> None:
    talk = Conversation(requested()).declined().hear(OrderCancelled()).hear(requested(2))
    assert talk.events == [PaymentCancelled(attempt=2)]
    assert talk.operations == []


def test_nobody_knows_then_a_callback_tells() -> None:
    talk = Conversation(requested()).charge_unknown()
    assert talk.events == [PaymentUnresolved(attempt=1, text="no answer")]
    assert talk.state.unresolved
    talk.hear(requested(2))
    assert talk.operations == []
    assert isinstance(talk.events[0], PaymentUnresolved)
    talk.hear(ChargeReported(1, "pi_1", "succeeded", 5000))
    assert [type(event) for event in talk.events] == [PaymentCaptured, PaymentCancelled]
    assert not talk.state.unresolved


def test_nobody_knows_then_the_provider_is_asked_again() -> None:
    talk = Conversation(requested()).charge_unknown()
    (timer,) = talk.timers
    talk.hear(timer.message)
    assert talk.operations == [FindCharge("stripe", "o-1", 1, "", talk.state.attempts[0].at)]
    assert talk.timers == []
    talk.hear(FindCharge.Failed("resource_missing", "No such payment."), talk.latest(FindCharge))
    assert talk.timers[0].message == LookAgain(1, 2)
    talk.hear(talk.timers[0].message)
    talk.looked_up(FindCharge.Done("", "failed", code="not_charged", text="The provider has no such payment."))
    assert isinstance(talk.events[0], PaymentDeclined)
    assert talk.hear(LookAgain(1, 3)).operations == []


def test_a_cancel_that_fails_leaves_the_attempt_unresolved() -> None:
    talk = Conversation(requested()).asked_for_3ds().hear(requested(2))
    talk.hear(CancelCharge.Failed("api_key_expired", "The key has expired."), talk.latest(CancelCharge))
    assert talk.state.unresolved
    assert talk.operations == []
    talk.hear(LookAgain(1)).looked_up(FindCharge.Done("pi_1", "requires_action", url="https://bank.example/1"))
    assert talk.operations == [CancelCharge("stripe", "o-1", 1, "pi_1")]


def test_a_payment_survives_its_row() -> None:
    talk = Conversation(requested()).asked_for_3ds().hear(requested(2))
    adapter = TypeAdapter(Payment)
    assert adapter.validate_json(adapter.dump_json(talk.state, exclude_none=True)) == talk.state
    columns = payment_columns(talk.state)
    assert (columns["status"], columns["reference"], columns["captured"]) == ("pending", "pi_1", 0)


def test_the_history_of_an_attempt_is_kept() -> None:
    talk = Conversation(requested()).asked_for_3ds().hear(ChargeReported(1, "pi_1", "succeeded", 5000))
    statuses = [record.status for record in talk.kept if isinstance(record, AttemptRecord)]
    assert statuses == [AttemptStatus.CHARGING, AttemptStatus.ACTION_REQUIRED, AttemptStatus.CAPTURED]
    assert talk.state.attempts[0].at > START
