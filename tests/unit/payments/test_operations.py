"""What payments asks of a provider: keys made of what is paid for, and bounds in time."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest

from services.payments.domain.declines import CUSTOMER_TEXTS, DeclineReason
from services.payments.domain.operations import (
    CancelCharge,
    ChargeCard,
    FindCharge,
    FindRefund,
    ProviderOperation,
    RefundCharge,
)
from shared.contracts.checkout import OrderCancelled, OrderExpired
from shared.contracts.payments import PaymentCancelled, PaymentCaptured, PaymentDeclined
from shared.contracts.values import OrderStatus, PaymentStatus
from tests.unit.payments.conversation import START, Conversation, requested

UNTIL = START + timedelta(days=7)


def charge(attempt: int = 1) -> ChargeCard:
    return Conversation(requested(attempt, requested_at=START - timedelta(hours=2), until=UNTIL)).charge()


def test_the_key_of_a_charge_is_what_is_paid_for() -> None:
    first, again = charge(), charge()
    assert first.idempotency_key(uuid4()) == again.idempotency_key(uuid4())
    assert first.idempotency_key(uuid4()) != charge(2).idempotency_key(uuid4())


def test_the_key_of_a_refund_is_the_refund() -> None:
    talk = Conversation(requested()).paid().hear(OrderCancelled())
    refund = talk.latest(RefundCharge)
    assert refund.refund in refund.idempotency_key(uuid4())
    assert refund.idempotency_key(uuid4()) == refund.idempotency_key(uuid4())


def test_a_charge_ends_with_the_orders_time_and_a_refund_never() -> None:
    assert charge().deadline(START) == UNTIL
    assert Conversation(requested()).charge().deadline(START) == START + timedelta(days=1)
    for kind in (CancelCharge, RefundCharge, FindCharge, FindRefund):
        assert kind.give_up_after is None


@pytest.mark.parametrize("kind", [ChargeCard, CancelCharge, RefundCharge, FindCharge, FindRefund])
def test_every_call_is_safe_to_repeat_and_goes_to_its_provider(kind: type[ProviderOperation]) -> None:
    assert kind.safe_to_repeat
    assert (kind.key_lives is not None) == (kind in (ChargeCard, RefundCharge))
    assert charge().destination() == "stripe"


def test_a_charge_knows_since_when_it_can_have_been_made() -> None:
    assert charge().since == START - timedelta(hours=2)
    talk = Conversation(requested(requested_at=START - timedelta(hours=2))).charge_unknown()
    talk.hear(talk.timers[0].message)
    assert talk.latest(FindCharge).since == START - timedelta(hours=2)


@pytest.mark.parametrize("code", ["gave_up", "not_tried"])
def test_a_charge_that_could_not_be_made_in_time_is_no_decline(code: str) -> None:
    talk = Conversation(requested())
    talk.hear(ChargeCard.Failed(code, "given up: Stripe does not answer"), talk.charge())
    assert talk.events == [PaymentCancelled(attempt=1)]
    assert talk.state.status is PaymentStatus.FAILED
    assert talk.state.attempts[0].text == "given up: Stripe does not answer"


def test_a_charge_that_was_never_begun_of_an_expired_order_leaves_nothing() -> None:
    talk = Conversation(requested(), OrderExpired(was=OrderStatus.PENDING_PAYMENT))
    talk.hear(ChargeCard.Failed("not_tried", "paused"), talk.charge())
    assert talk.events == [PaymentCancelled(attempt=1)]
    assert talk.operations == []


def test_a_charge_that_was_begun_late_of_a_cancelled_order_goes_back() -> None:
    talk = Conversation(requested(), OrderCancelled()).paid()
    assert isinstance(talk.events[0], PaymentCaptured)
    assert talk.latest(RefundCharge).amount == 5000


@pytest.mark.parametrize("reason", DeclineReason)
def test_a_customer_is_told_a_reason_of_the_list_and_never_the_providers_words(reason: DeclineReason) -> None:
    talk = Conversation(requested())
    words = "No such PaymentMethod: 'pm_1' (request req_1)"
    talk.hear(ChargeCard.Failed("resource_missing", words, reason=reason), talk.charge())
    (failed,) = talk.events
    assert isinstance(failed, PaymentDeclined)
    assert (failed.reason, failed.text) == (reason.value, CUSTOMER_TEXTS[reason])
    assert (failed.code, failed.detail) == ("resource_missing", words)


def test_what_is_still_processing_is_looked_at_later() -> None:
    talk = Conversation(requested())
    talk.hear(ChargeCard.Done("pi_1", "processing"), talk.charge())
    waits = []
    for _ in range(12):
        (timer,) = talk.timers
        waits.append(timer.due - (START + timedelta(seconds=talk.turns)))
        talk.hear(timer.message)
        talk.looked_up(FindCharge.Done("pi_1", "processing"))
    assert waits[:3] == [timedelta(minutes=10), timedelta(minutes=20), timedelta(minutes=40)]
    assert waits[-1] == timedelta(days=1)
