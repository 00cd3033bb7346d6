"""Orders that end early: cancelled by customer, store or lack of stock (paths 4 and 7)."""

from __future__ import annotations

from shared.contracts.checkout import CancelOrder, OrderCancelled, OrderPaymentRequested, OrderRefunded
from shared.contracts.fulfillment import ItemRevoked, StockRefused, StockReserved
from shared.contracts.storefront import CheckoutAbandoned
from shared.contracts.values import DeliveryStatus, FulfilmentStatus, OrderStatus, PaymentStatus
from tests.unit.checkout.examples import delivered, paid_order, placed_order, refunded


def test_a_customer_abandons_the_checkout_before_paying() -> None:
    order = placed_order("course").hear(CheckoutAbandoned(reason="Too expensive."))

    assert order.facts == [OrderCancelled(reason="Too expensive.", code="abandoned")]
    assert order.record().message == "Too expensive."
    assert order.pending == {}
    assert order.hear(StockReserved()).facts == []


def test_only_the_store_can_cancel_a_paid_order() -> None:
    order = paid_order("course")

    assert order.refuses(CheckoutAbandoned()).code == "not_cancellable"
    order.hear(CancelOrder(reason="Mistake"), actor="staff:anna")
    assert order.facts == [OrderCancelled(reason="Mistake")]
    assert order.timeline[-1].actor == "staff:anna"


def test_a_cancelled_order_that_was_paid_is_refunded() -> None:
    order = paid_order("course").hear(CancelOrder())

    assert order.record().payment_status is PaymentStatus.PAID
    (event,) = order.hear(refunded(1000, of=1000)).facts
    assert isinstance(event, OrderRefunded)
    assert event.whole
    assert order.state.status is OrderStatus.CANCELLED
    assert order.record().payment_status is PaymentStatus.REFUNDED


def test_a_delivery_after_the_cancellation_only_adds_a_timeline_entry() -> None:
    order = paid_order("course").hear(CancelOrder())

    assert order.hear(delivered("1")).facts == []
    assert order.timeline[-1].what == "item.delivered"
    assert order.state.lines[0].delivery is DeliveryStatus.PENDING
    order.hear(ItemRevoked(item="1"))
    assert order.record().fulfilment_status is FulfilmentStatus.REVOKED


def test_an_order_that_has_ended_is_not_cancelled() -> None:
    for ended in (paid_order("course").hear(delivered("1")), placed_order("course").hear(CancelOrder())):
        assert ended.refuses(CancelOrder()).code == "not_cancellable"


def test_an_order_that_is_sold_out_is_cancelled_and_not_charged() -> None:
    order = placed_order("course", "game").hear(StockRefused(skus=("game",)))

    assert order.facts == [OrderCancelled(reason="Sold out.", code="sold_out", sold_out=("game",))]
    assert order.state.status is OrderStatus.CANCELLED
    assert not order.all.of(OrderPaymentRequested)
