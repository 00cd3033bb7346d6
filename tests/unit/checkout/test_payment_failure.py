"""An order that cannot be paid any more: failed at once, and what it is left by."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from services.checkout.domain.order import FailedPaymentOverdue, Order, PaymentOverdue
from services.checkout.domain.store import Store
from shared.contracts.checkout import (
    CancelOrder,
    CompleteOrder,
    OrderCancelled,
    OrderCompleted,
    OrderExpired,
    OrderFailed,
    OrderPaid,
    OrderPaymentDeclined,
    OrderPaymentReminder,
    OrderPaymentRequested,
)
from shared.contracts.fulfillment import ItemRevoked, StockReserved
from shared.contracts.order_work import OrderPaidElsewhere, ReopenOrder
from shared.contracts.payments import PaymentCancelled
from shared.contracts.storefront import CheckoutAbandoned, CheckoutAsked
from shared.contracts.values import FulfilmentStatus, OrderStatus, PaidElsewhere, PaymentStatus
from shared.core import Ref, Timer
from tests.unit.checkout.examples import OPENED, OrderScenario, captured, delivered, submission
from tests.unit.checkout.test_approval import accepted
from tests.unit.checkout.test_tries import AGAIN, decline, declined, order_of

FAILED = OrderStatus.FAILED
WEEK = timedelta(days=7)


def failed(**settings: object) -> OrderScenario:
    """The only try was declined."""
    return order_of(payment_tries=1, **settings).hear(decline(1))


# Reached


def test_the_last_try_fails_the_order_at_once_and_both_sides_are_told() -> None:
    order = declined(8)

    assert [type(fact) for fact in order.facts] == [OrderPaymentDeclined, OrderFailed]
    assert order.facts[-1] == OrderFailed(reason="Your card was declined. No further try is left.", unpaid=True)
    record = order.record()
    assert (record.status, record.payment_status) == (FAILED, PaymentStatus.FAILED)
    assert record.fulfilment_status is FulfilmentStatus.UNFULFILLED
    assert (record.pay_url, record.message) == (None, "Your card was declined. No further try is left.")
    assert order.timeline[-1].text.startswith("It cannot be paid any more. Needs attention.")
    assert order.refuses(AGAIN).code == "too_many_attempts"


def test_so_does_the_last_try_that_could_not_be_made() -> None:
    order = order_of(payment_tries=1).hear(PaymentCancelled(attempt=1))

    assert order.facts == [OrderFailed(reason="No further try is left.", unpaid=True)]


def test_so_does_an_amount_that_the_only_provider_does_not_take() -> None:
    refused = PaymentCancelled(attempt=1, code="amount_too_large", detail="Amount must be no more than …")
    order = order_of().hear(refused)

    assert order.facts == [OrderFailed(reason="The payment provider does not take the amount.", unpaid=True)]
    assert order.refuses(AGAIN).code == "too_many_attempts"
    another = order_of(payment_providers=("stripe", "manual")).hear(refused)
    assert another.state.status is OrderStatus.PENDING_PAYMENT


def test_one_that_was_accepted_fails_like_any_other() -> None:
    """With one try only, its kept card is all that there is."""
    order = accepted(rules={"payment_tries": 1}).hear(decline(1))

    assert order.state.status is FAILED
    assert order.state.deadline == order.at + WEEK


def test_while_a_charge_may_still_pay_it_waits() -> None:
    order = order_of(payment_tries=1)

    assert order.state.status is OrderStatus.PENDING_PAYMENT


# Left


def test_its_stock_is_held_until_its_time_to_pay_ends() -> None:
    order = failed()

    assert order.state.deadline == order.at + WEEK
    assert order.let_time_pass(WEEK).facts == [OrderExpired(was=FAILED)]
    assert order.state.deadline is None


def test_the_timer_of_it_is_of_a_kind_that_older_builds_leave_to_newer_ones_and_can_cancel() -> None:
    """`PaymentOverdue` they would take, and hold the stock for ever."""
    order, until = failed(), failed().state.deadline
    assert until

    waits = {("o-1", "PaymentOverdue"): Timer(until, FailedPaymentOverdue(), "PaymentOverdue")}
    assert order.pending == waits
    assert order.hear(FailedPaymentOverdue()).pending == waits, "too early"
    order.hear(ReopenOrder())
    assert order.pending == {("o-1", "PaymentOverdue"): Timer(order.at + WEEK, PaymentOverdue())}


def test_no_reminder_comes_any_more() -> None:
    order = OrderScenario()
    shop = Ref(Store, "northwind")
    order.rows[shop] = replace(order.rows[shop], payment_tries=2, reminders=(timedelta(days=1),))
    order.given(OPENED, submission("course"), StockReserved(), decline(1))
    assert len(order.pending) == 2

    order.given(AGAIN, decline(2))

    assert [timer.due for timer in order.pending.values()] == [order.state.deadline]
    order.let_time_pass(timedelta(days=2)).hear(ReopenOrder())
    assert order.let_time_pass(timedelta(days=1)).all.of(OrderPaymentReminder)[-1].reminder == 1


def test_staff_allow_further_tries() -> None:
    order = failed().let_time_pass(timedelta(days=3))
    order.hear(ReopenOrder(tries=2, note="By telephone."), actor="staff:anna")

    (reminder,) = order.facts
    assert isinstance(reminder, OrderPaymentReminder) and reminder.page
    assert (reminder.until, reminder.page.until) == (order.at + WEEK, order.at + WEEK)
    assert (reminder.page.tries_left, reminder.declined) == (2, True)
    record = order.record()
    assert (record.status, record.deadline) == (OrderStatus.PENDING_PAYMENT, order.at + WEEK)
    assert record.pay_url == reminder.url
    assert order.timeline[-1].text == "The customer may try to pay 2 times more."
    assert order.timeline[-1].detail["note"] == "By telephone."
    order.given(AGAIN, decline(2), AGAIN)
    assert len(order.all.of(OrderPaymentRequested)) == 3
    assert order.hear(captured(1000, attempt=3)).record().status is OrderStatus.PROCESSING


def test_it_fails_again_after_these_and_the_first_of_them_that_is_declined_renews_its_time() -> None:
    order = failed().given(ReopenOrder(tries=1)).let_time_pass(timedelta(days=2)).given(AGAIN, decline(2))

    assert order.state.status is FAILED
    assert order.state.deadline == order.at + WEEK
    assert order.let_time_pass(WEEK).facts == [OrderExpired(was=FAILED)]


def test_only_a_failed_payment_can_be_allowed_again() -> None:
    refused = order_of().refuses(ReopenOrder())
    assert refused.code == "payment_not_failed"
    assert refused.text == "The payment of the order has not failed: the order is pending payment."
    delivered = order_of().hear(captured(1000))
    assert delivered.refuses(ReopenOrder()).code == "payment_not_failed"
    with_other = failed().hear(captured(900))
    assert with_other.refuses(ReopenOrder()).code == "other_amount"
    assert [problem.field for problem in failed().refuses(ReopenOrder(tries=0)).problems] == ["tries"]
    assert failed().refuses(ReopenOrder(tries=51)).problems[0].code == "out_of_range"


@pytest.mark.parametrize("command", [CancelOrder(), CheckoutAbandoned()])
def test_store_and_customer_can_cancel_it(command: object) -> None:
    order = failed().hear(command)

    assert [type(fact) for fact in order.facts] == [OrderCancelled]
    assert not order.pending


def test_the_customer_can_ask_for_that_but_for_no_refund() -> None:
    assert failed().hear(CheckoutAsked(wants="cancel")).record().asked
    assert failed().refuses(CheckoutAsked(wants="refund")).code == "nothing_to_refund"


def test_staff_complete_it_by_hand_like_any_unpaid_order() -> None:
    assert failed().refuses(CompleteOrder()).code == "how_paid"
    order = failed().hear(CompleteOrder(paid=PaidElsewhere(method="cash")))

    assert [type(fact) for fact in order.facts] == [OrderPaidElsewhere, OrderPaid, OrderCompleted]
    assert order.state.status is OrderStatus.COMPLETED
    given = failed().hear(CompleteOrder(given=True))
    assert given.record().given and not given.pending


def test_a_capture_that_comes_after_all_pays_it() -> None:
    order = failed().hear(captured(1000))

    assert [type(fact) for fact in order.facts] == [OrderPaid]
    assert (order.state.status, order.state.deadline) == (OrderStatus.PROCESSING, None)
    assert not order.pending


def test_one_of_another_amount_does_not() -> None:
    order = failed().hear(captured(900))

    assert order.state.status is FAILED
    assert order.let_time_pass(WEEK).facts == [OrderExpired(was=FAILED)]


def test_no_fact_of_delivery_moves_it() -> None:
    order = failed()

    assert order.hear(delivered("1")).timeline[-1].text.endswith("(No effect: the order is failed.)")
    assert order.hear(ItemRevoked(item="1")).state.status is FAILED


def test_what_an_older_build_has_left_waiting_stays_so_until_its_deadline() -> None:
    order = order_of(payment_tries=1)
    order.hear(decline(1))
    older = replace(order.state, status=OrderStatus.PENDING_PAYMENT)
    order.put(Order, "o-1", older)

    assert order.refuses(AGAIN).code == "too_many_attempts"
    assert order.let_time_pass(WEEK).facts == [OrderExpired(was=OrderStatus.PENDING_PAYMENT)]
