"""What money says about an order is over some time: then the order says what its items demand, or nothing."""

from __future__ import annotations

import pytest

from shared.contracts.checkout import CancelOrder
from shared.contracts.fulfillment import ItemFailed, ItemWaiting
from shared.contracts.payments import (
    PaymentCancelled,
    PaymentDeclined,
    PaymentRefundFailed,
    PaymentSettled,
    PaymentSurplusRefunded,
    PaymentUnresolved,
)
from shared.core import Event
from tests.unit.checkout.examples import (
    OrderScenario,
    captured,
    delivered,
    paid_order,
    placed_order,
    refunded,
    reserved_order,
)

FAILED = PaymentRefundFailed(refund="r-1", amount=500, code="charge_disputed", text="Disputed.")
UNRESOLVED = PaymentUnresolved(attempt=1, text="Refund r-1: no answer")
MADE = refunded(500, of=1000)
OF_SURPLUS = PaymentSurplusRefunded(refund="r-2", attempt=2, amount=500, currency="USD")
WITHOUT_EFFECT = refunded(500, of=1500)
SETTLED = PaymentSettled(attempt=1, refund="r-1", outcome="not_refunded", reason="Looked up.")
ENDS = [MADE, OF_SURPLUS, WITHOUT_EFFECT, SETTLED]
CHECKED = "The payment is being checked with the payment provider."


@pytest.mark.parametrize("begins", [FAILED, UNRESOLVED])
@pytest.mark.parametrize("ends", ENDS)
def test_a_message_about_a_refund_ends_with_a_later_one(begins: Event, ends: Event) -> None:
    order = paid_order("course").given(delivered("1"), begins)
    assert order.record().message in ("A refund of 5.00 USD failed.", CHECKED)
    assert order.hear(ends).record().message is None


@pytest.mark.parametrize("begins", [FAILED, UNRESOLVED])
@pytest.mark.parametrize("ends", ENDS)
@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        (ItemFailed(item="1", code="x", text="Broken."), "Course: Broken."),
        (ItemWaiting(item="1", code="shipment", text="Parcel."), "Course: Parcel."),
    ],
)
def test_then_an_order_says_again_what_its_items_wait_for(
    begins: Event, ends: Event, trouble: Event, said: str
) -> None:
    order = paid_order("course").given(trouble, begins, ends)
    assert order.record().message == said


def test_a_charge_does_not_end_what_is_said_about_a_refund() -> None:
    """The provider corrected a settled charge, and refunds of it are void."""
    order = paid_order("course").given(delivered("1"), FAILED, captured(900))
    assert order.record().message == "A refund of 5.00 USD failed."


def test_no_order_completes_by_the_end_of_a_message() -> None:
    """What comes with every order may be under way still."""
    order = paid_order("course").given(delivered("1", under_way=1), FAILED, OF_SURPLUS)
    assert (order.state.status, order.record().message) == ("processing", None)


@pytest.mark.parametrize(
    "ends",
    [
        captured(1000),
        PaymentDeclined(attempt=1, code="x", text="No.", reason="card_declined"),
        PaymentCancelled(attempt=1),
        PaymentSettled(attempt=1, outcome="not_charged", reason="Looked up."),
    ],
)
@pytest.mark.parametrize("order", [reserved_order, placed_order])
def test_a_charge_that_was_checked_is_so_no_longer(ends: Event, order: type[OrderScenario]) -> None:
    cancelled = order("course").given(CancelOrder(), PaymentUnresolved(attempt=1, text="no answer"))
    assert cancelled.record().message == CHECKED
    cancelled.hear(ends)
    assert cancelled.record().message != CHECKED


def test_a_payment_that_was_cancelled_is_awaited_no_longer() -> None:
    order = reserved_order("course").given(PaymentUnresolved(attempt=1, text="no answer"))
    assert order.hear(PaymentCancelled(attempt=1)).record().message is None


def test_a_capture_of_another_amount_is_told_until_it_is_refunded() -> None:
    order = reserved_order("course").hear(captured(900))
    assert order.record().message == "9.00 USD captured, but the order amount is 10.00 USD."
    assert order.hear(refunded(900, of=900)).record().message is None
