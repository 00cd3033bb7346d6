"""Delivery of an order's items, and their failures (paths 1 and 6)."""

from __future__ import annotations

from shared.contracts.checkout import (
    CompleteOrder,
    OrderCompleted,
    OrderDeliveryFailed,
    OrderDeliveryResumed,
    OrderDeliveryWaiting,
    OrderFailed,
    OrderItemsDelivered,
)
from shared.contracts.fulfillment import ItemFailed, ItemRetried, ItemWaiting
from shared.contracts.storefront import PaymentChoice
from shared.contracts.values import DeliveryStatus, FulfilmentStatus, Instructions, OrderStatus
from tests.unit.checkout.examples import delivered, paid_order, placed_order, reserved_order


def test_the_customer_is_sent_all_that_arrived_when_no_delivery_is_in_progress() -> None:
    order = paid_order("course", "game", "atlas")

    assert order.hear(delivered("1", under_way=1)).facts == []
    assert order.hear(ItemWaiting(item="3", code="shipment", text="Ship it.", under_way=1)).facts == []
    (sent,) = order.hear(delivered("2")).facts
    assert isinstance(sent, OrderItemsDelivered)
    assert [item.item for item in sent.items] == ["1", "2"]
    assert order.record().fulfilment_status is FulfilmentStatus.PARTIALLY_FULFILLED
    assert order.record().message == "Atlas: Ship it."


def test_the_last_delivered_item_completes_the_order() -> None:
    order = paid_order("course", "game").given(delivered("1"), delivered("2"))

    (sent, completed) = order.facts
    assert isinstance(sent, OrderItemsDelivered)
    assert [item.item for item in sent.items] == ["2"]
    assert completed == OrderCompleted()
    assert order.record().fulfilment_status is FulfilmentStatus.FULFILLED
    assert order.record().completed_at == order.at


def test_a_free_order_is_delivered_like_any_other() -> None:
    order = reserved_order("gift", payment=PaymentChoice()).hear(delivered("1"))

    assert [type(event) for event in order.facts] == [OrderItemsDelivered, OrderCompleted]


def test_every_step_is_in_the_timeline_without_addresses_or_card_numbers() -> None:
    order = paid_order("course").hear(delivered("1"))

    assert [(entry.what, entry.text) for entry in order.timeline] == [
        ("order.created", "Checkout opened."),
        ("order.placed", "Placed: 1 item, 10.00 USD. Reserving stock."),
        ("stock.reserved", "Stock reserved."),
        ("order.payment_requested", "Payment requested: 10.00 USD, card."),
        ("payment.captured", "10.00 USD captured with visa ending 4242."),
        ("order.paid", "Paid in full. Delivery started."),
        ("item.delivered", "Course delivered."),
        ("order.items_delivered", "Sent to the customer: Course."),
        ("order.completed", "All items delivered."),
    ]
    assert {entry.actor for entry in order.timeline} == {"customer", "system", "provider:stripe"}
    assert len({entry.id for entry in order.timeline}) == len(order.timeline)
    assert "2030" not in str(order.entry("payment.captured").detail)


def test_instructions_that_were_sent_are_not_kept() -> None:
    order = paid_order("course", "game")
    secret = Instructions(kind="code", code="AAAA-BBBB")
    order.hear(delivered("2", under_way=1).model_copy(update={"instructions": secret}))
    assert order.state.lines[1].instructions == secret

    order.hear(delivered("1"))
    assert all(line.instructions is None for line in order.state.lines)
    assert "AAAA" not in str(order.timeline)


# Failures


def test_a_failed_delivery_fails_the_order_until_it_is_retried() -> None:
    order = paid_order("course", "game").hear(delivered("1", under_way=1))

    order.hear(ItemFailed(item="2", code="http_403", text="Check the credentials."))
    assert {type(event) for event in order.facts} == {OrderItemsDelivered, OrderDeliveryFailed, OrderFailed}
    assert order.record().fulfilment_status is FulfilmentStatus.FAILED
    assert order.record().message == "Game: Check the credentials."

    resumed = OrderDeliveryResumed(item="2", status=OrderStatus.PROCESSING)
    assert order.hear(ItemRetried(item="2"), actor="staff:anna").facts == [resumed]
    assert order.state.status is OrderStatus.PROCESSING
    assert OrderCompleted() in order.hear(delivered("2")).facts


def test_an_order_stays_failed_while_another_item_is_failed() -> None:
    order = paid_order("course", "game").hear(ItemFailed(item="1", code="x", text="First.", under_way=1))

    order.hear(ItemFailed(item="2", code="x", text="Second."))
    assert order.facts == [OrderDeliveryFailed(item="2", product="Game", code="x", text="Second.")]
    order.hear(ItemRetried(item="1"))
    assert order.state.status is OrderStatus.FAILED
    assert order.record().message == "Game: Second."


def test_staff_hear_of_an_item_that_waits_for_them_and_the_order_goes_on() -> None:
    order = paid_order("course", "game")
    text = "No delivery is configured for SKU game."

    order.hear(ItemWaiting(item="2", code="not_configured", text=text, alert=True, under_way=1))

    assert order.facts == [OrderDeliveryWaiting(item="2", product="Game", code="not_configured", text=text)]
    assert order.state.status is OrderStatus.PROCESSING
    order.hear(ItemRetried(item="2", configuration=3))
    assert order.timeline[-1].text == "Retrying the delivery of Game with configuration 3 of its product."


def test_an_item_that_waits_for_a_code_is_delivered_once_there_is_one() -> None:
    order = paid_order("course").hear(ItemWaiting(item="1", code="pool_empty", text="Add codes."))
    assert order.state.status is OrderStatus.PROCESSING
    assert order.record().items[0].delivery is DeliveryStatus.WAITING

    assert order.hear(ItemRetried(item="1")).facts == []
    assert OrderCompleted() in order.hear(delivered("1")).facts


# Completed by staff


def test_deliveries_continue_after_staff_completed_the_order() -> None:
    order = paid_order("course", "game").hear(delivered("1", under_way=1))

    sent, completed = order.hear(CompleteOrder(note="Handed over."), actor="staff:anna").facts
    assert isinstance(sent, OrderItemsDelivered)
    assert completed == OrderCompleted(by_hand=True, by="staff:anna", note="Handed over.")
    assert [type(event) for event in order.hear(delivered("2")).facts] == [OrderItemsDelivered]
    assert order.refuses(CompleteOrder()).code == "not_completable"


def test_an_unpaid_order_is_not_completed_by_staff() -> None:
    assert placed_order("course").refuses(CompleteOrder()).code == "how_paid"


def test_a_resumed_delivery_tells_the_status_that_the_order_has_then() -> None:
    """Another item of it has failed, too."""
    order = paid_order("course", "game")
    order.hear(ItemFailed(item="1", code="x", text="y")).hear(ItemFailed(item="2", code="x", text="y"))
    assert order.hear(ItemRetried(item="2")).facts == [OrderDeliveryResumed(item="2", status=OrderStatus.FAILED)]
