"""Refunds: never more than is refundable, exact to the last cent, per item where items are named."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from services.payments.domain.operations import FindRefund, RefundCharge, RefundResult
from services.payments.domain.payment import RefundStatus
from services.payments.domain.refund import refund_requested
from shared.contracts.checkout import OrderCancelled
from shared.contracts.payments import PaymentRefunded, PaymentRefundFailed, PaymentUnresolved, RefundLine, RefundPayment
from shared.contracts.values import PaymentStatus
from shared.core import Context, Decision
from shared.core.scenario import START
from tests.unit.payments.examples import PaymentScenario, item, refund_reported, requested


def paid() -> PaymentScenario:
    return PaymentScenario(requested()).pay()


def refunding(amount: int | None = None, *lines: RefundLine) -> PaymentScenario:
    return paid().hear(RefundPayment(amount=amount, items=lines))


def line(item: str, amount: int | None = None) -> RefundLine:
    return RefundLine(item=item, amount=amount)


def refused(payment: PaymentScenario, **command: Any) -> str:
    return payment.refuses(RefundPayment(**command)).code


def refunded_event(payment: PaymentScenario) -> PaymentRefunded:
    (event,) = payment.published
    assert isinstance(event, PaymentRefunded)
    return event


def refunded_lines(payment: PaymentScenario) -> list[tuple[str, int, bool]]:
    return [(line.item, line.amount, line.whole) for line in refunded_event(payment).items]


def test_a_full_refund() -> None:
    payment = refunding()
    assert (payment.refund().amount, payment.refund().charge, payment.published) == (5000, "pi_1", [])
    event = refunded_event(payment.make_refund())
    assert (event.amount, event.captured, event.refunded) == (5000, 5000, 5000)
    assert refunded_lines(payment) == [("1", 3000, True), ("2", 2000, True)]
    assert payment.ledger() == {"provider_balance": 0, "sales": 0}
    assert payment.state.status is PaymentStatus.REFUNDED


def test_after_a_restore_it_has_the_time_when_it_was_requested() -> None:
    payment, happened = paid(), START - timedelta(days=2)
    context = Context(payment.at, "o-1", UUID(int=1), actor="staff", happened=happened)
    decision = refund_requested(payment.state, RefundPayment(amount=500), context)
    assert isinstance(decision, Decision) and decision.state is not None
    assert [refund.at for refund in decision.state.refunds] == [happened]


def test_one_item_in_full_and_another_in_part() -> None:
    payment = refunding(None, line("1"), line("2", 500)).make_refund()
    assert refunded_event(payment).amount == 3500
    assert refunded_lines(payment) == [("1", 3000, True), ("2", 500, False)]
    assert payment.state.status is PaymentStatus.PARTIALLY_REFUNDED
    payment.hear(RefundPayment(items=(line("2"),))).make_refund()
    assert refunded_lines(payment) == [("2", 1500, True)]


def test_a_delivery_charge_is_refunded_like_a_product() -> None:
    delivery = item("2", 490).model_copy(update={"kind": "delivery"})
    payment = PaymentScenario(requested(items=(item("1", 3000), delivery))).pay()
    payment.hear(RefundPayment(items=(line("2"),))).make_refund()
    assert refunded_lines(payment) == [("2", 490, True)]
    assert refused(payment, items=(line("2", 1),)) == "already_refunded"


def test_an_amount_belongs_to_no_item_until_all_is_refunded() -> None:
    payment = refunding(1000).make_refund()
    assert refunded_event(payment).items == ()
    payment.hear(RefundPayment(amount=4000)).make_refund()
    assert refunded_lines(payment) == [("1", 2400, True), ("2", 1600, True)]


def test_an_item_that_is_no_longer_covered_after_a_refund_of_an_amount() -> None:
    refused = refunding(2500).make_refund().refuses(RefundPayment(items=(line("1"),)))
    assert refused.code == "too_much"
    assert "25.00 USD" in refused.text


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (RefundPayment(amount=5001), "too_much"),
        (RefundPayment(reason="foo"), "unknown_reason"),
        (RefundPayment(reason=""), "unknown_reason"),
        (RefundPayment(amount=0), "nothing_to_refund"),
        (RefundPayment(items=(line("9"),)), "unknown_item"),
        (RefundPayment(items=(line("1", 3001),)), "too_much_for_item"),
        (RefundPayment(items=(line("1", 2000), line("1", 2000))), "too_much_for_item"),
        (RefundPayment(items=(line("1", 0),)), "nothing_to_refund"),
        (RefundPayment(items=(line("1"), line("1"))), "already_refunded"),
        (RefundPayment(amount=10, items=(line("1"),)), "ambiguous"),
    ],
)
def test_what_is_refused(command: RefundPayment, expected: str) -> None:
    payment = paid()
    assert payment.refuses(command).code == expected
    assert payment.state.pending == 0


def test_an_item_is_refunded_once() -> None:
    payment = paid()
    payment.hear(RefundPayment(items=(line("1"),)))
    refused = payment.refuses(RefundPayment(items=(line("1"),)))
    assert (refused.code, "refund" in refused.text) == ("already_refunded", True)
    assert "zero" not in refused.text


def test_every_wrong_item_is_named() -> None:
    refused = paid().refuses(RefundPayment(items=(line("9"), line("2", 2001))))
    assert [(p.field, p.code) for p in refused.problems] == [
        ("items.0", "unknown_item"),
        ("items.1", "too_much_for_item"),
    ]


def test_the_refundable_amount_is_given_in_decimals_of_the_currency() -> None:
    payment = PaymentScenario(requested(items=(item("1", 1999),))).pay()
    assert payment.refuses(RefundPayment(amount=2000)).text == "At most 19.99 USD can still be refunded."


def paid_in_dinars(*prices: int) -> PaymentScenario:
    items = tuple(item(str(number), price) for number, price in enumerate(prices, start=1))
    return PaymentScenario(requested(items=items, currency="KWD")).pay()


@pytest.mark.parametrize(
    "command", [RefundPayment(amount=1005), RefundPayment(items=(line("1", 1005),)), RefundPayment(amount=1)]
)
def test_refunds_respect_the_providers_step(command: RefundPayment) -> None:
    payment = paid_in_dinars(3340, 3330)
    refused = payment.refuses(command)
    assert refused.code == "amount_off_step"
    assert "multiples of 0.010 KWD" in refused.text


def test_what_is_left_of_each_item_is_a_multiple_of_the_providers_step() -> None:
    payment = paid_in_dinars(3340, 3330, 3340)
    payment.hear(RefundPayment(amount=1010)).make_refund()
    payment.hear(RefundPayment()).make_refund()
    parts = [it.amount for it in refunded_event(payment).items]
    assert sum(parts) == 9000
    assert all(part % 10 == 0 for part in parts)


def test_an_unpaid_order_has_nothing_to_refund() -> None:
    assert refused(PaymentScenario()) == "not_paid"
    assert refused(PaymentScenario(requested())) == "not_paid"


def test_a_refunded_order_is_refunded_once() -> None:
    assert refused(refunding().make_refund()) == "already_refunded"


def test_of_two_that_race_the_second_sees_the_first() -> None:
    payment = refunding(3000)
    assert refused(payment, amount=3000) == "too_much"
    payment.hear(RefundPayment())
    assert [refund.amount for refund in payment.all.of(RefundCharge)] == [3000, 2000]
    assert refused(payment) == "already_refunded"


def test_a_refund_that_the_provider_refuses_can_be_requested_again() -> None:
    payment = refunding().fail_refund()
    assert payment.types() == [PaymentRefundFailed]
    assert (payment.state.pending, payment.state.refundable) == (0, 5000)
    assert payment.hear(RefundPayment()).refund().amount == 5000


def test_callback_and_answer_of_a_refund_in_either_order() -> None:
    payment = refunding()
    payment.hear(refund_reported(payment.refund().refund, "succeeded"))
    assert payment.types() == [PaymentRefunded]
    assert payment.make_refund().published == []
    assert payment.ledger()["provider_balance"] == 0


def test_a_refund_that_takes_its_time() -> None:
    payment = refunding().answer(RefundCharge, RefundCharge.Done(RefundResult("re_1", "pending")))
    assert (payment.published, payment.state.pending) == ([], 5000)
    payment.hear(refund_reported(payment.state.refunds[0].id, "succeeded"))
    assert payment.types() == [PaymentRefunded]


def test_a_refund_that_the_bank_returns() -> None:
    payment = refunding().make_refund()
    refund = payment.state.refunds[0].id
    payment.hear(refund_reported(refund, "failed", code="lost_or_stolen_card"))
    (failed,) = payment.published
    assert isinstance(failed, PaymentRefundFailed)
    assert failed.code == "lost_or_stolen_card"
    assert payment.ledger() == {"provider_balance": 5000, "sales": -5000}
    assert payment.state.refundable == 5000
    payment.hear(refund_reported(refund, "succeeded"))
    assert (payment.published, payment.state.refunded) == ([], 0)


def test_a_refund_that_the_bank_returns_before_the_answer() -> None:
    payment = refunding()
    payment.hear(refund_reported(payment.refund().refund, "failed", code="lost_or_stolen_card"))
    payment.make_refund()
    assert payment.published == []
    assert payment.ledger()["provider_balance"] == 5000


def test_an_unresolved_refund_reserves_its_amount() -> None:
    payment = refunding().lose_refund()
    assert payment.types() == [PaymentUnresolved]
    assert refused(payment) == "already_refunded"
    payment.hear(refund_reported(payment.state.refunds[0].id, "succeeded"))
    assert payment.state.refunds[0].status is RefundStatus.DONE


def test_a_refund_that_was_never_made_can_be_requested_again() -> None:
    payment = refunding().lose_refund()
    payment.let_go_off(f"check_refund_{payment.state.refunds[0].id}")
    payment.answer(FindRefund, FindRefund.Done(RefundResult("", "failed", "not_refunded")))
    assert payment.types() == [PaymentRefundFailed]
    assert payment.state.refundable == 5000


def test_a_refund_thought_failed_and_made_again_is_for_no_item_twice() -> None:
    payment = refunding(None, line("2"))
    first = payment.refund()
    payment.fail_refund().hear(RefundPayment(items=(line("2"),))).make_refund()
    event = refunded_event(payment.hear(refund_reported(first.refund, "succeeded")))
    assert (event.amount, event.refunded, event.items) == (2000, 4000, ())
    assert [share.amount for share in payment.state.refundable_shares()] == [3000, 0]
    assert payment.hear(RefundPayment()).refund().amount == 1000


def test_a_cancellation_refunds_only_what_was_not_refunded_before() -> None:
    payment = refunding(2000).make_refund().hear(OrderCancelled())
    assert payment.refund().amount == 3000
    assert payment.state.refundable == 0


def test_a_gift_in_the_order_is_whole_only_with_everything_else() -> None:
    payment = PaymentScenario(requested(items=(item("1", 1000), item("gift", 0)))).pay()
    assert refunded_event(payment.hear(RefundPayment(amount=400)).make_refund()).items == ()
    payment.hear(RefundPayment()).make_refund()
    assert refunded_lines(payment) == [("1", 600, True), ("gift", 0, True)]


def test_a_refund_that_was_made_after_all_is_entered_once_another_has_failed() -> None:
    payment = refunding(1)
    thought_failed = payment.refund().refund
    payment.fail_refund().hear(RefundPayment())
    other = payment.refund().refund
    payment.make_refund().hear(refund_reported(thought_failed, "succeeded"))
    assert payment.types() == [PaymentUnresolved], "its amount is reserved"
    payment.hear(refund_reported(other, "failed", f"re_{other}")).let_go_off(f"check_refund_{thought_failed}")
    payment.answer(FindRefund, FindRefund.Done(RefundResult("re_1")))
    assert payment.types() == [PaymentRefunded]
    assert payment.ledger()["provider_balance"] == 4999


def test_a_refund_that_was_made_and_returned_stays_failed_in_either_order() -> None:
    payment = refunding().fail_refund()
    for status in ("failed", "succeeded"):
        payment.hear(refund_reported(payment.state.refunds[0].id, status))
        assert payment.published == []
    assert payment.ledger()["provider_balance"] == 5000
