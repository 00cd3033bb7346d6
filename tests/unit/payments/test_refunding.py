"""Refunds: never more than is left, exact to the last cent, per item where items are named."""

from __future__ import annotations

import pytest

from services.payments.domain.operations import FindRefund, RefundCharge, RefundReported
from services.payments.domain.payment import RefundStatus
from shared.contracts.checkout import OrderCancelled
from shared.contracts.payments import PaymentRefunded, PaymentRefundFailed, PaymentUnresolved, RefundLine, RefundPayment
from shared.contracts.values import PaymentStatus
from tests.unit.payments.conversation import Conversation, item, requested


def paid() -> Conversation:
    return Conversation(requested()).paid()


def code(talk: Conversation) -> str:
    return talk.refused.code if talk.refused else ""


def refunded_event(talk: Conversation) -> PaymentRefunded:
    (event,) = talk.events
    assert isinstance(event, PaymentRefunded)
    return event


def test_everything() -> None:
    talk = paid().hear(RefundPayment())
    refund = talk.latest(RefundCharge)
    assert (refund.amount, refund.charge, talk.events) == (5000, "pi_1", [])
    event = refunded_event(talk.refunded())
    assert (event.amount, event.captured, event.refunded) == (5000, 5000, 5000)
    assert [(line.item, line.amount, line.whole) for line in event.items] == [("1", 3000, True), ("2", 2000, True)]
    assert talk.ledger() == {"provider_balance": 0, "sales": 0}
    assert talk.state.status is PaymentStatus.REFUNDED


def test_one_item_wholly_and_another_in_part() -> None:
    talk = paid().hear(RefundPayment(items=(RefundLine(item="1"), RefundLine(item="2", amount=500))))
    event = refunded_event(talk.refunded())
    assert event.amount == 3500
    assert [(line.item, line.amount, line.whole) for line in event.items] == [("1", 3000, True), ("2", 500, False)]
    assert talk.state.status is PaymentStatus.PARTIALLY_REFUNDED
    event = refunded_event(talk.hear(RefundPayment(items=(RefundLine(item="2"),))).refunded())
    assert [(line.item, line.amount, line.whole) for line in event.items] == [("2", 1500, True)]


def test_an_amount_belongs_to_no_item_until_nothing_is_left() -> None:
    talk = paid()
    event = refunded_event(talk.hear(RefundPayment(amount=1000)).refunded())
    assert event.items == ()
    event = refunded_event(talk.hear(RefundPayment(amount=4000)).refunded())
    assert [(line.item, line.amount, line.whole) for line in event.items] == [("1", 2400, True), ("2", 1600, True)]


def test_an_amount_and_then_an_item_that_the_rest_does_not_cover() -> None:
    talk = paid().hear(RefundPayment(amount=2500)).refunded().hear(RefundPayment(items=(RefundLine(item="1"),)))
    assert code(talk) == "too_much"
    assert talk.refused is not None and "25.00 USD" in talk.refused.text


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (RefundPayment(amount=5001), "too_much"),
        (RefundPayment(amount=0), "nothing_to_refund"),
        (RefundPayment(items=(RefundLine(item="9"),)), "unknown_item"),
        (RefundPayment(items=(RefundLine(item="1", amount=3001),)), "too_much_for_item"),
        (
            RefundPayment(items=(RefundLine(item="1", amount=2000), RefundLine(item="1", amount=2000))),
            "too_much_for_item",
        ),
        (RefundPayment(items=(RefundLine(item="1", amount=0),)), "nothing_to_refund"),
        (RefundPayment(amount=10, items=(RefundLine(item="1"),)), "ambiguous"),
    ],
)
def test_what_is_refused(command: RefundPayment, expected: str) -> None:
    talk = paid().hear(command)
    assert code(talk) == expected
    assert talk.state.pending == 0


def test_every_wrong_item_is_named() -> None:
    talk = paid().hear(RefundPayment(items=(RefundLine(item="9"), RefundLine(item="2", amount=2001))))
    assert talk.refused is not None
    assert [(p.field, p.code) for p in talk.refused.problems] == [
        ("items.0", "unknown_item"),
        ("items.1", "too_much_for_item"),
    ]


def test_how_much_is_left_is_said_in_decimals_of_the_currency() -> None:
    talk = Conversation(requested(items=(item("1", 1999),))).paid().hear(RefundPayment(amount=2000))
    assert talk.refused is not None
    assert talk.refused.text == "At most 19.99 USD can still be refunded."


def test_an_unpaid_order_has_nothing_to_refund() -> None:
    assert code(Conversation().hear(RefundPayment())) == "not_paid"
    assert code(Conversation(requested(), RefundPayment())) == "not_paid"


def test_a_refunded_order_is_refunded_once() -> None:
    assert code(paid().hear(RefundPayment()).refunded().hear(RefundPayment())) == "already_refunded"


def test_of_two_that_race_the_second_sees_the_first() -> None:
    talk = paid().hear(RefundPayment(amount=3000)).hear(RefundPayment(amount=3000))
    assert code(talk) == "too_much"
    assert talk.hear(RefundPayment()).latest(RefundCharge).amount == 2000
    assert code(talk.hear(RefundPayment())) == "already_refunded"


def test_a_refund_that_the_provider_refuses_frees_its_money() -> None:
    talk = paid().hear(RefundPayment()).refund_failed()
    (failed,) = talk.events
    assert isinstance(failed, PaymentRefundFailed)
    assert (talk.state.pending, talk.state.left) == (0, 5000)
    assert talk.hear(RefundPayment()).latest(RefundCharge).amount == 5000


def test_callback_and_answer_of_a_refund_in_either_order() -> None:
    talk = paid().hear(RefundPayment())
    refund = talk.latest(RefundCharge)
    talk.hear(RefundReported(refund.refund, "re_1", "succeeded"))
    assert isinstance(talk.events[0], PaymentRefunded)
    assert talk.refunded().events == []
    assert talk.ledger()["provider_balance"] == 0


def test_a_refund_that_takes_its_time() -> None:
    talk = paid().hear(RefundPayment())
    talk.hear(RefundCharge.Done("re_1", "pending"), talk.latest(RefundCharge))
    assert (talk.events, talk.state.pending) == ([], 5000)
    talk.hear(RefundReported(talk.state.refunds[0].id, "re_1", "succeeded"))
    assert isinstance(talk.events[0], PaymentRefunded)


def test_the_bank_sends_a_refund_back() -> None:
    talk = paid().hear(RefundPayment()).refunded()
    talk.hear(RefundReported(talk.state.refunds[0].id, "re_1", "failed", "expired_or_canceled_card"))
    (failed,) = talk.events
    assert isinstance(failed, PaymentRefundFailed)
    assert failed.code == "expired_or_canceled_card"
    assert talk.ledger() == {"provider_balance": 5000, "sales": -5000}
    assert talk.state.left == 5000
    talk.hear(RefundReported(talk.state.refunds[0].id, "re_1", "succeeded"))
    assert (talk.events, talk.state.refunded) == ([], 0)


def test_the_bank_sends_it_back_before_our_answer_came() -> None:
    talk = paid().hear(RefundPayment())
    talk.hear(RefundReported(talk.state.refunds[0].id, "re_1", "failed", "expired_or_canceled_card"))
    talk.refunded()
    assert talk.events == []
    assert talk.ledger()["provider_balance"] == 5000


def test_nobody_knows_whether_the_refund_was_made() -> None:
    talk = paid().hear(RefundPayment())
    talk.hear(RefundCharge.Unresolved("no answer"), talk.latest(RefundCharge))
    assert isinstance(talk.events[0], PaymentUnresolved)
    assert code(talk.hear(RefundPayment())) == "already_refunded"
    talk.hear(RefundReported(talk.state.refunds[0].id, "re_1", "succeeded"))
    assert talk.state.refunds[0].status is RefundStatus.DONE


def test_a_refund_that_was_never_made_frees_its_money() -> None:
    talk = paid().hear(RefundPayment())
    talk.hear(RefundCharge.Unresolved("no answer"), talk.latest(RefundCharge))
    talk.hear(talk.timers[0].message)
    talk.hear(FindRefund.Done("", "failed", "not_refunded"), talk.latest(FindRefund))
    assert isinstance(talk.events[0], PaymentRefundFailed)
    assert talk.state.left == 5000


def test_a_refund_thought_failed_and_made_again_is_for_no_item_twice() -> None:
    talk = paid().hear(RefundPayment(items=(RefundLine(item="2"),))).refund_failed()
    first = talk.latest(RefundCharge)
    talk.hear(RefundPayment(items=(RefundLine(item="2"),))).refunded()
    talk.hear(RefundReported(first.refund, "re_1", "succeeded"))
    event = refunded_event(talk)
    assert (event.amount, event.refunded, event.items) == (2000, 4000, ())
    assert [share.amount for share in talk.state.shares_left()] == [3000, 0]
    assert talk.hear(RefundPayment()).latest(RefundCharge).amount == 1000


def test_what_was_refunded_already_is_not_given_back_at_the_cancel() -> None:
    talk = paid().hear(RefundPayment(amount=2000)).hear(OrderCancelled())
    assert talk.latest(RefundCharge).amount == 3000
    assert talk.state.left == 0


def test_a_gift_in_the_order_is_whole_only_with_everything_else() -> None:
    talk = Conversation(requested(items=(item("1", 1000), item("gift", 0)))).paid()
    event = refunded_event(talk.hear(RefundPayment(amount=400)).refunded())
    assert event.items == ()
    event = refunded_event(talk.hear(RefundPayment()).refunded())
    assert [(line.item, line.amount, line.whole) for line in event.items] == [("1", 600, True), ("gift", 0, True)]


def test_a_refund_that_was_made_after_all_is_entered_once_another_has_come_back() -> None:
    talk = Conversation(requested()).paid().hear(RefundPayment(amount=1))
    thought_failed = talk.latest(RefundCharge)
    talk.refund_failed().hear(RefundPayment())
    other = talk.latest(RefundCharge)
    talk.refunded()
    talk.hear(RefundReported(thought_failed.refund, "re_1", "succeeded"))
    assert [type(event) for event in talk.events] == [PaymentUnresolved], "its money is spoken for again"
    look = talk.timers[0].message
    talk.hear(RefundReported(other.refund, f"re_{other.refund}", "failed")).hear(look)
    talk.hear(FindRefund.Done("re_1", "succeeded"), talk.latest(FindRefund))
    assert [type(event) for event in talk.events] == [PaymentRefunded]
    assert talk.ledger()["provider_balance"] == 4999


def test_a_refund_that_was_made_and_came_back_stays_failed_in_whatever_order_that_is_told() -> None:
    talk = Conversation(requested()).paid().hear(RefundPayment()).refund_failed()
    refund = talk.latest(RefundCharge).refund
    for status in ("failed", "succeeded"):
        talk.hear(RefundReported(refund, "re_1", status))
        assert talk.events == []
    assert talk.ledger()["provider_balance"] == 5000
