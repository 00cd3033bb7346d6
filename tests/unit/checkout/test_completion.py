"""Orders that staff complete by hand: paid or not, again, and after refunds."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from services.checkout.domain.expiry import FIRST_REMINDER
from services.checkout.domain.order import ChargeState, PaymentOverdue
from shared.contracts.checkout import (
    CancelOrder,
    CompleteOrder,
    OrderCancelled,
    OrderCompleted,
    OrderPaid,
    OrderPaymentClosing,
    OrderRefunded,
)
from shared.contracts.delivery_work import StartDelivery
from shared.contracts.fulfillment import ItemFailed, ItemRevoked, RetryDelivery
from shared.contracts.order_work import OrderPaidElsewhere
from shared.contracts.payments import (
    PaymentActionRequired,
    PaymentCancelled,
    PaymentDeclined,
    PaymentRefundFailed,
    PaymentSurplusRefunded,
    PaymentUnresolved,
)
from shared.contracts.storefront import CheckoutPaymentRetried, PaymentChoice
from shared.contracts.values import OrderStatus, PaidElsewhere, PaymentStatus
from shared.core.fast_dataclasses import replace
from tests.unit.checkout.examples import (
    OPENED,
    OrderScenario,
    captured,
    delivered,
    paid_order,
    placed_order,
    refunded,
    reserved_order,
)

S = OrderStatus
TRANSFER = PaidElsewhere(method="bank_transfer", amount=3500, reference="SEPA-1")
ELSEWHERE = CompleteOrder(paid=TRANSFER, note="On the statement of March 3.")
GIVEN = CompleteOrder(given=True)
DECLINED = PaymentDeclined(attempt=1, code="do_not_honor", text="Declined.", reason="card_declined")
FAILED = ItemFailed(item="1", code="forbidden", text="The platform answered 403.")


def declined_order() -> OrderScenario:
    """Nothing is open at the provider."""
    return reserved_order().hear(DECLINED)


def completing(command: CompleteOrder = ELSEWHERE) -> OrderScenario:
    """A charge is under way."""
    return reserved_order().hear(command, actor="staff:anna")


def failed_order() -> OrderScenario:
    return paid_order().hear(FAILED)


# Not paid


def test_an_order_that_was_paid_elsewhere_is_paid_and_completed_and_its_actions_run() -> None:
    order = declined_order().hear(ELSEWHERE, actor="staff:anna")

    elsewhere, paid, completed = order.facts
    assert isinstance(elsewhere, OrderPaidElsewhere)
    assert (elsewhere.attempt, elsewhere.amount, elsewhere.method, elsewhere.reference) == (
        *(2, 3500, "bank_transfer", "SEPA-1"),
    )
    assert (elsewhere.by, elsewhere.given, [item.item for item in elsewhere.items]) == ("staff:anna", False, ["1", "2"])
    assert paid == OrderPaid(amount=3500, currency="USD")
    assert completed == OrderCompleted(by_hand=True, by="staff:anna", note="On the statement of March 3.")
    record = order.record()
    assert (record.status, record.payment_status, record.paid) == (S.COMPLETED, PaymentStatus.PAID, 3500)
    assert (record.paid_elsewhere, record.given, record.pay_url) == (TRANSFER, False, None)
    entry = order.entry("order.paid_elsewhere")
    assert (entry.actor, entry.text) == (
        "staff:anna",
        "Completed manually. 35.00 USD paid elsewhere: bank transfer.",
    )


def test_an_order_that_is_given_counts_nothing_as_paid() -> None:
    order = declined_order().hear(GIVEN, actor="staff:anna")

    elsewhere, paid, completed = order.facts
    assert isinstance(elsewhere, OrderPaidElsewhere) and elsewhere.given and elsewhere.amount == 0
    assert paid == OrderPaid(amount=0, currency="USD")
    assert completed == OrderCompleted(by_hand=True, by="staff:anna")
    assert (order.record().paid, order.record().given) == (0, True)


def test_what_follows_is_delivered_as_of_any_paid_order() -> None:
    order = declined_order().given(ELSEWHERE, delivered("1"), FAILED)
    assert order.record().status is S.COMPLETED
    assert order.record().items[0].delivery == "failed"


def test_a_refund_from_before_it_is_in_the_ledger_is_of_another_charge() -> None:
    """Payments made it of what was captured before, while staff completed the order."""
    entered = captured(3500, 2).model_copy(update={"provider": "manual", "card": None})
    order = reserved_order().given(captured(3000), ELSEWHERE).hear(refunded(1000, 3000))
    assert (order.record().refunded, order.record().payment_status) == (0, PaymentStatus.PAID)
    assert "a charge that did not pay the order" in order.timeline[-1].text

    assert order.given(entered, refunded(500, 3500)).record().refunded == 500


def test_payments_entry_of_it_is_no_second_payment() -> None:
    order = declined_order().hear(ELSEWHERE)
    entered = captured(3500, 2).model_copy(update={"provider": "manual", "card": None})
    assert order.hear(entered).facts == []
    assert "No effect" not in order.timeline[-1].text
    assert order.record().paid == 3500


@pytest.mark.parametrize(
    ("command", "codes"),
    [
        (CompleteOrder(), ["how_paid"]),
        (CompleteOrder(paid=TRANSFER, given=True), ["ambiguous"]),
        (CompleteOrder(paid=PaidElsewhere(method="cash", amount=3000)), ["wrong_amount"]),
        (
            CompleteOrder(restore_refunded=True, latest_configuration=True),
            ["how_paid", "nothing_refunded", "nothing_failed"],
        ),
    ],
)
def test_every_problem_of_an_unpaid_order_at_once(command: CompleteOrder, codes: list[str]) -> None:
    refused = reserved_order().refuses(command)
    assert [problem.code for problem in refused.problems] == codes
    assert refused.code == codes[0]
    assert all(problem.text in refused.text for problem in refused.problems)


def test_the_refused_amount_names_both() -> None:
    refused = reserved_order().refuses(CompleteOrder(paid=PaidElsewhere(method="cash", amount=3000)))
    assert "35.00 USD is due" in refused.text and "30.00 USD was given" in refused.text


def test_without_an_amount_it_is_the_order_s() -> None:
    order = declined_order().hear(CompleteOrder(paid=PaidElsewhere(method="cash")))
    assert order.record().paid_elsewhere == PaidElsewhere(method="cash", amount=3500)


@pytest.mark.parametrize(
    ("order", "code"),
    [
        (OrderScenario(OPENED), "not_completable"),
        (placed_order(), "not_reserved"),
        (reserved_order().hear(CancelOrder()), "not_completable"),
        (paid_order(), "already_paid"),
        (completing(), "under_way"),
    ],
    ids=["opened", "stock not reserved", "cancelled", "paid", "being completed"],
)
def test_where_it_cannot_be_paid_elsewhere(order: OrderScenario, code: str) -> None:
    assert order.refuses(ELSEWHERE).code == code


# While something is open at the provider


def test_an_open_charge_is_cancelled_first() -> None:
    order = completing()
    assert order.facts == [OrderPaymentClosing(attempt=1, by_hand=True)]
    assert (order.record().status, order.record().message) == (
        S.PENDING_PAYMENT,
        "Staff complete it by hand, once the open payment is cancelled.",
    )

    order.hear(PaymentCancelled(attempt=1))
    assert [type(fact) for fact in order.facts] == [OrderPaidElsewhere, OrderPaid, OrderCompleted]
    assert order.timeline[-1].actor == "staff:anna"


@pytest.mark.parametrize("answer", [DECLINED, PaymentCancelled(attempt=1)])
@pytest.mark.parametrize("command", [ELSEWHERE, GIVEN])
def test_whatever_ends_it(answer: object, command: CompleteOrder) -> None:
    order = completing(command).hear(answer)
    assert order.record().status is S.COMPLETED
    assert order.record().given is command.given


def test_a_charge_that_comes_through_pays_the_order_and_nothing_is_recorded_besides() -> None:
    order = completing().hear(captured(3500), actor="provider:stripe")

    assert [type(fact) for fact in order.facts] == [OrderPaid, OrderCompleted]
    record = order.record()
    assert (record.status, record.paid, record.paid_elsewhere) == (S.COMPLETED, 3500, None)
    assert order.timeline[-1].text.endswith("nothing was recorded besides.")
    assert order.timeline[-1].actor == "staff:anna"


def test_a_charge_that_comes_through_after_it_changes_nothing() -> None:
    order = declined_order().given(ELSEWHERE, captured(3500))
    assert order.facts == []
    assert "(No effect: it is paid already.)" in order.timeline[-1].text
    back = PaymentSurplusRefunded(refund="r-1", attempt=1, amount=3500, currency="USD")
    assert order.hear(back).record().refunded == 0


def test_payments_is_asked_again_until_it_answers_also_before_the_deadline() -> None:
    order = completing()
    order.at += FIRST_REMINDER
    assert order.hear(PaymentOverdue()).facts == [OrderPaymentClosing(attempt=1, by_hand=True)]
    assert order.record().status is S.PENDING_PAYMENT


def test_it_waits_while_the_outcome_is_unknown() -> None:
    order = reserved_order().given(PaymentUnresolved(attempt=1, text="No answer."), ELSEWHERE)
    assert order.facts == [OrderPaymentClosing(attempt=1, by_hand=True)]
    order.hear(captured(3500))
    assert (order.record().status, order.record().paid_elsewhere) == (S.COMPLETED, None)


def test_the_customer_can_neither_confirm_nor_pay_again_meanwhile() -> None:
    order = completing()
    order.hear(PaymentActionRequired(attempt=1, url="https://bank.example/3ds"))
    assert "(No effect: staff complete it.)" in order.timeline[-1].text
    again = CheckoutPaymentRetried(payment=PaymentChoice(payment_method="pm_card_visa"))
    assert order.refuses(again).code == "not_payable"


def test_it_can_still_be_cancelled() -> None:
    order = completing().hear(CancelOrder())
    assert any(isinstance(fact, OrderCancelled) for fact in order.facts)
    assert order.hear(PaymentCancelled(attempt=1)).record().status is S.CANCELLED


def test_an_order_whose_time_is_just_ending_is_completed_and_does_not_expire() -> None:
    order = reserved_order()
    assert order.state.deadline
    order.at = order.state.deadline
    order.given(PaymentOverdue(), ELSEWHERE)
    assert order.hear(PaymentCancelled(attempt=1)).record().status is S.COMPLETED


# Paid, and again


def test_what_waits_to_be_started_is_started() -> None:
    order = paid_order()
    order.put(type(order.state), order.key, replace(order.state, to_start=True))
    order.hear(CompleteOrder(), actor="staff:anna")
    assert [sent.command for sent in order.sent] == [StartDelivery(reason="Completed by hand.")]


def test_a_second_time_runs_what_failed_again() -> None:
    order = failed_order().hear(CompleteOrder())
    assert order.record().status is S.COMPLETED and not order.sent

    order.hear(CompleteOrder(note="The platform is back."), actor="staff:anna")

    assert [sent.command for sent in order.sent] == [RetryDelivery(items=("1",))]
    assert order.facts == []
    assert order.timeline[-1].text == "Its failed actions run again."


@pytest.mark.parametrize("times", [1, 2])
def test_with_the_latest_configuration(times: int) -> None:
    order = failed_order()
    for _ in range(times):
        order.hear(CompleteOrder(latest_configuration=True))
        assert [sent.command for sent in order.sent] == [RetryDelivery(items=("1",), latest=True)]
    assert order.record().status is S.COMPLETED


def test_a_completed_order_of_which_nothing_failed_is_refused() -> None:
    order = paid_order().given(delivered("1"), delivered("2"))
    assert "none of its actions has failed" in order.refuses(CompleteOrder()).text
    assert order.refuses(CompleteOrder(latest_configuration=True)).code == "nothing_failed"


# Restored


def refund(amount: int, so_far: int, **more: Any) -> Any:
    return refunded(amount, 3500, so_far - amount, **more)


def restored(*refunds: Any) -> OrderScenario:
    order = paid_order().given(delivered("1", 1), delivered("2"), *refunds)
    return order.hear(CompleteOrder(restore_refunded=True), actor="staff:anna")


def test_a_partly_refunded_order_is_restored() -> None:
    order = restored(refund(500, 500))
    record = order.record()
    assert (record.refunded, record.restored, record.payment_status) == (0, 500, PaymentStatus.PAID)
    assert [item.refunded for item in record.items] == [0, 0]
    assert record.message == "5.00 USD went back to the customer. It is no longer counted as refunded."
    assert order.timeline[-1].what == "order.restored"
    assert (order.facts, order.sent) == ([], [])


def test_what_was_removed_with_a_refund_stays_so_and_staff_are_told_what() -> None:
    order = paid_order().given(delivered("1", 1), delivered("2"), refund(3500, 3500), ItemRevoked(item="1"))
    order.hear(CompleteOrder(restore_refunded=True), actor="staff:anna")

    said = order.record().message
    assert said and said.endswith(" It is no longer counted as refunded. Not delivered again: Course, Game.")
    assert order.timeline[-1].text == said


def test_a_wholly_refunded_order_is_completed_again() -> None:
    order = paid_order().given(delivered("1", 1), delivered("2"), refund(3500, 3500))
    assert order.refuses(CompleteOrder()).code == "not_completable"
    order.hear(CompleteOrder(restore_refunded=True))
    record = order.record()
    assert (record.status, record.closed_at, record.refunded, record.restored) == (S.COMPLETED, None, 0, 3500)
    assert order.facts == [], "it was completed before"


def test_what_went_back_in_another_way_is_said() -> None:
    order = restored(refund(500, 500, recorded=True))
    assert "5.00 USD of it in another way than by the provider" in (order.record().message or "")


def test_nothing_to_restore_is_refused() -> None:
    assert failed_order().refuses(CompleteOrder(restore_refunded=True)).code == "nothing_refunded"


def test_the_same_refund_told_again_stays_restored() -> None:
    order = restored(refund(500, 500)).hear(refund(500, 500))
    assert "(No effect: it is counted already.)" in order.timeline[-1].text
    assert order.record().refunded == 0


def test_a_further_refund_is_counted_without_what_was_restored() -> None:
    order = restored(refund(500, 500)).hear(refund(700, 1200))
    record = order.record()
    assert (record.refunded, record.restored, record.payment_status) == (700, 500, PaymentStatus.PARTIALLY_REFUNDED)


def test_once_nothing_is_left_what_was_restored_counts_again() -> None:
    order = restored(refund(500, 500)).hear(refund(3000, 3500))
    record = order.record()
    assert (record.status, record.refunded, record.restored) == (S.REFUNDED, 3500, 0)
    (told,) = [fact for fact in order.facts if isinstance(fact, OrderRefunded)]
    assert told.whole and told.refunded == 3500


def test_a_restored_refund_that_the_bank_sent_back_is_none_any_more() -> None:
    first = refund(500, 500)
    back = PaymentRefundFailed(refund=first.refund, amount=500, code="gone", text="No such card.", returned=True)
    order = restored(first).hear(back)
    assert (order.record().refunded, order.record().restored) == (0, 0)


def test_access_that_was_removed_stays_removed() -> None:
    order = paid_order().given(delivered("1", 1), delivered("2"), refund(3500, 3500), ItemRevoked(item="1"))
    order.hear(CompleteOrder(restore_refunded=True))
    assert order.record().items[0].delivery == "revoked"


# What arrived in another amount


def test_an_order_with_another_amount_waits_for_no_charge() -> None:
    order = reserved_order().hear(captured(3000))
    assert (order.state.charge, order.record().status) == (ChargeState.NONE, S.PENDING_PAYMENT)
    again = CheckoutPaymentRetried(payment=PaymentChoice(payment_method="pm_card_visa"))
    assert "another amount" in order.refuses(again).text
    assert order.hear(ELSEWHERE).record().status is S.COMPLETED


def test_such_an_order_expires_at_once_when_its_time_is_over() -> None:
    order = reserved_order().hear(captured(4000))
    assert order.state.deadline
    order.at = order.state.deadline + timedelta(seconds=1)
    assert order.hear(PaymentOverdue()).record().status is S.EXPIRED


# What refunds leave as it is


@pytest.mark.parametrize("contested", [PaymentStatus.DISPUTED, PaymentStatus.CHARGED_BACK])
def test_a_partial_refund_does_not_end_a_dispute(contested: PaymentStatus) -> None:
    order = paid_order()
    order.put(type(order.state), order.key, replace(order.state, payment_status=contested))
    assert order.hear(refund(500, 500)).record().payment_status is contested
    assert order.hear(refund(3000, 3500)).record().payment_status is PaymentStatus.REFUNDED
