"""Delivery charges in an order's life: paid and refunded like a product, and nothing waits for their delivery."""

from __future__ import annotations

from shared.contracts.checkout import (
    OrderCompleted,
    OrderItemsDelivered,
    OrderPaymentRequested,
    OrderPlaced,
    OrderRefunded,
)
from shared.contracts.fulfillment import ItemRevoked, ItemWaiting
from shared.contracts.payments import RefundedLine
from shared.contracts.values import DeliveryStatus, FulfilmentStatus, OrderStatus, PaymentStatus
from tests.unit.checkout.examples import OrderScenario, delivered, paid_order, placed_order, refunded


def order_with_charge() -> OrderScenario:
    """A course of 10.00 and an atlas of 30.00, delivered for 4.90."""
    return paid_order("course", "atlas", delivery=490)


def line(item: str, amount: int) -> RefundedLine:
    return RefundedLine(item=item, amount=amount, whole=True)


def test_it_is_a_line_for_fulfillment_and_payments() -> None:
    order = order_with_charge()
    (placed,), (requested,) = order.all.of(OrderPlaced), order.all.of(OrderPaymentRequested)

    assert [(item.item, item.kind) for item in placed.items] == [("1", "product"), ("2", "product"), ("3", "delivery")]
    assert [(item.item, item.purchased) for item in requested.items] == [("1", 1000), ("2", 3000), ("3", 490)]
    assert order.record().items[2].delivery is DeliveryStatus.NOT_NEEDED


def test_the_timeline_counts_the_products() -> None:
    order = placed_order("course", delivery=490)
    assert order.timeline[-1].text == "Placed: 1 item, 14.90 USD. Reserving stock."


def test_an_order_completes_without_waiting_for_it() -> None:
    order = order_with_charge().given(delivered("1", under_way=1))
    assert order.record().fulfilment_status is FulfilmentStatus.PARTIALLY_FULFILLED

    (sent, completed) = order.hear(delivered("2")).facts
    assert isinstance(sent, OrderItemsDelivered)
    assert [item.item for item in sent.items] == ["1", "2"]
    assert completed == OrderCompleted()
    assert order.record().fulfilment_status is FulfilmentStatus.FULFILLED


def test_a_paid_order_is_not_complete_because_of_it() -> None:
    order = paid_order("atlas", delivery=490).given(ItemWaiting(item="1", code="shipment", text="Ship it."))
    assert order.state.status is OrderStatus.PROCESSING
    assert order.record().fulfilment_status is FulfilmentStatus.IN_PROGRESS


def test_it_is_refunded_alone() -> None:
    order = order_with_charge().given(delivered("1"), delivered("2"))

    (event,) = order.hear(refunded(490, of=4490, items=(line("3", 490),))).facts
    assert isinstance(event, OrderRefunded)
    assert (event.whole, event.items) == (False, ("3",))
    assert [item.refunded for item in order.record().items] == [0, 0, 490]
    assert order.state.status is OrderStatus.COMPLETED


def test_its_refund_before_the_delivery_completes_nothing() -> None:
    order = order_with_charge().given(refunded(490, of=4490, items=(line("3", 490),)))
    assert order.state.status is OrderStatus.PROCESSING
    assert order.given(delivered("1"), delivered("2")).state.status is OrderStatus.COMPLETED


def test_where_it_is_all_that_is_kept_the_order_is_finished() -> None:
    order = order_with_charge().given(refunded(4000, of=4490, items=(line("1", 1000), line("2", 3000))))
    assert order.state.status is OrderStatus.COMPLETED
    assert order.record().payment_status is PaymentStatus.PARTIALLY_REFUNDED

    order.given(ItemRevoked(item="1"), ItemRevoked(item="2"))
    assert order.record().fulfilment_status is FulfilmentStatus.REVOKED
    order.hear(refunded(490, of=4490, so_far=4000, items=(line("3", 490),)))
    assert order.record().status is OrderStatus.REFUNDED


def test_a_refund_of_the_whole_order_includes_it() -> None:
    (event,) = order_with_charge().hear(refunded(4490, of=4490)).facts
    assert isinstance(event, OrderRefunded)
    assert event.items == ("1", "2", "3")
