"""What no other event tells of an order is told by `order.noted`, so that its timeline can be made from events."""

from __future__ import annotations

from datetime import timedelta

from services.checkout.domain.order import PaymentOverdue
from shared.contracts.checkout import CompleteOrder, OrderPlaced
from shared.contracts.codes import PoolLow
from shared.contracts.order_work import NoteOrder, OrderNoted
from shared.contracts.storefront import Source
from tests.unit.checkout.examples import OrderScenario, paid_order, submission


def noted(order: OrderScenario) -> list[OrderNoted]:
    return [event for event in order.published if isinstance(event, OrderNoted)]


def test_a_note_is_told_without_its_text() -> None:
    order = paid_order("course").hear(NoteOrder(text="Called."), actor="staff:anna")
    assert noted(order) == [OrderNoted(what="order.note", text="A note on the order was added.", by="staff:anna")]


def test_what_has_no_effect_is_told_with_its_reason() -> None:
    order = paid_order("course").hear(PaymentOverdue())
    (event,) = noted(order)
    assert event.text == "The time to pay is over. (No effect: the order is processing.)"
    assert event.what == "order.payment_overdue"


def test_what_another_event_tells_is_not_told_twice() -> None:
    order = paid_order("course").hear(CompleteOrder(note="Handed over."), actor="staff:anna")
    assert noted(order) == []


def test_a_placed_order_tells_until_when_it_can_be_paid_and_from_where_it_came() -> None:
    order = OrderScenario().hear(submission("course", origin=Source(client_ip="192.0.2.1")))
    (placed,) = [event for event in order.published if isinstance(event, OrderPlaced)]
    assert (placed.until, placed.client_ip) == (order.timeline[-1].detail["until"], "192.0.2.1")


def test_a_pool_whose_worker_has_a_faster_clock_is_not_low_for_days_below_zero() -> None:
    order = paid_order("course")
    low = PoolLow(pool="keys", name="Keys", left=1, low_water=2, since=order.at + timedelta(seconds=5))
    assert (
        order.hear(low).entry("pool.low").text == "Little is left: pool Keys. 1 code left, fewer than 2. Import more."
    )
