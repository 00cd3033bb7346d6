"""Items with several actions, and what the offer or every order brings, as checkout sees them."""

from __future__ import annotations

from shared.contracts.checkout import OrderCompleted, OrderItemsDelivered
from shared.contracts.fulfillment import (
    ItemDelivered,
    ItemFailed,
    ItemProgressed,
    ItemRetried,
    ItemRevoked,
    ItemWaiting,
)
from shared.contracts.payments import PaymentRefunded, RefundedLine
from shared.contracts.values import DeliveryStatus, FulfilmentStatus, Instructions, OrderStatus
from tests.unit.checkout.examples import OrderScenario, paid_order, refunded

LINK = Instructions(kind="download", link="https://shop.example/downloads/t")
CODE = Instructions(kind="code", code="AAAA-BBBB")


def progressed(item: str, status: str, text: str = "", under_way: int = 0) -> ItemProgressed:
    return ItemProgressed(item=item, instructions=LINK, status=status, text=text, under_way=under_way)  # type: ignore[arg-type]


def status_of(order: OrderScenario) -> OrderStatus:
    return order.state.status


def refund_of_the_second(order: OrderScenario) -> PaymentRefunded:
    amount = order.state.lines[1].item.purchased
    return refunded(amount, order.state.paid, items=(RefundedLine(item="2", amount=amount, whole=True),))


def handed_over(order: OrderScenario) -> list[tuple[str, str]]:
    """Product and kind of instructions of the last message."""
    return [
        (item.product, item.instructions.kind) for event in order.last.of(OrderItemsDelivered) for item in event.items
    ]


def test_the_customer_gets_all_that_an_item_brings_at_once_when_nothing_more_is_to_come() -> None:
    order = paid_order("course").hear(progressed("1", "pending", under_way=1))
    assert (order.state.status, handed_over(order)) == (OrderStatus.PROCESSING, [])

    order.hear(ItemDelivered(item="1", instructions=CODE, under_way=0))

    assert handed_over(order) == [("Course", "download"), ("Course", "code")]
    assert status_of(order) is OrderStatus.COMPLETED
    assert order.state.lines[0].unsent == ()


def test_what_is_there_is_handed_over_while_the_rest_waits_for_staff() -> None:
    order = paid_order("course").hear(ItemWaiting(item="1", code="shipment", text="Parcel.", under_way=1))

    order.hear(progressed("1", "waiting", "Parcel."))

    assert handed_over(order) == [("Course", "download")]
    assert order.state.lines[0].delivery is DeliveryStatus.WAITING
    assert order.state.message == "Course: Parcel."


def test_an_item_stays_failed_while_one_of_its_actions_is() -> None:
    order = paid_order("course").hear(ItemFailed(item="1", code="x", text="Broken.", under_way=1))
    order.hear(ItemWaiting(item="1", code="shipment", text="Parcel."))
    assert status_of(order) is OrderStatus.FAILED
    assert order.state.lines[0].trouble == "Broken."

    order.hear(ItemRetried(item="1")).hear(progressed("1", "waiting", "Parcel."))
    assert status_of(order) is OrderStatus.PROCESSING


def test_an_order_is_completed_when_what_its_offer_brings_is_there_too() -> None:
    order = paid_order("course").hear(ItemDelivered(item="1", instructions=LINK, under_way=1))
    assert status_of(order) is OrderStatus.PROCESSING

    order.hear(ItemDelivered(item="offer", instructions=CODE, under_way=0, name="Gold members"))

    assert handed_over(order) == [("Course", "download"), ("Gold members", "code")]
    assert OrderCompleted() in order.facts
    assert [(extra.id, extra.delivery) for extra in order.state.extras] == [("offer", DeliveryStatus.DELIVERED)]
    assert order.entry("item.delivered").text == "Gold members delivered."


def test_what_every_order_brings_can_fail_the_order_and_be_revoked() -> None:
    order = paid_order("course").hear(ItemFailed(item="order", code="x", text="Broken.", under_way=1))
    assert order.state.message == "What comes with every order: Broken."
    order.hear(ItemDelivered(item="1", instructions=LINK, under_way=0))
    assert status_of(order) is OrderStatus.FAILED

    order.hear(ItemRevoked(item="order"))

    assert status_of(order) is OrderStatus.COMPLETED


def test_an_item_with_a_failed_action_stays_failed_while_another_one_is_retried() -> None:
    order = paid_order("course").hear(ItemFailed(item="1", code="x", text="Broken."))

    order.hear(ItemRetried(item="1", status="failed", text="Broken, too."))

    assert status_of(order) is OrderStatus.FAILED and order.facts == []
    assert order.state.message == "Course: Broken, too."
    order.hear(progressed("1", "failed", "Broken, too."))
    assert [type(fact) for fact in order.facts] == [OrderItemsDelivered], "staff know it already"


def test_a_refund_completes_no_order_while_something_is_under_way() -> None:
    order = paid_order("course", "game").hear(ItemDelivered(item="1", instructions=LINK, under_way=1))
    order.hear(ItemWaiting(item="2", code="shipment", text="Parcel.", under_way=1))

    order.hear(refund_of_the_second(order))
    assert status_of(order) is OrderStatus.PROCESSING

    order.hear(ItemDelivered(item="order", instructions=CODE, under_way=0))
    assert status_of(order) is OrderStatus.COMPLETED
    assert handed_over(order) == [("Course", "download"), ("What comes with every order", "code")]


def test_what_is_ended_by_a_refund_lets_the_rest_be_handed_over() -> None:
    order = paid_order("course", "game").hear(ItemDelivered(item="1", instructions=LINK, under_way=1))
    order.hear(refund_of_the_second(order))
    assert handed_over(order) == []

    order.hear(ItemProgressed(item="2", status="pending", under_way=0))

    assert handed_over(order) == [("Course", "download")]
    assert status_of(order) is OrderStatus.COMPLETED


def test_the_status_record_has_what_comes_with_the_order() -> None:
    order = paid_order("course").hear(ItemDelivered(item="1", instructions=LINK, under_way=1))
    order.hear(ItemFailed(item="offer", code="x", text="Broken."))

    record = order.record()

    assert (record.status, record.fulfilment_status) == (OrderStatus.FAILED, FulfilmentStatus.FAILED)
    assert [(extra.id, extra.name, extra.delivery) for extra in record.extras] == [
        ("offer", "What comes with the offer", DeliveryStatus.FAILED)
    ]


def test_what_the_customer_keeps_is_handed_over_although_the_order_was_refunded_meanwhile() -> None:
    """Fulfillment had delivered it before it knew of the refund."""
    order = paid_order("course")
    amount = order.state.purchased
    part = RefundedLine(item="1", amount=amount, whole=True)
    order.hear(refunded(amount, order.state.paid, items=(part,), remove_access=()))
    assert status_of(order) is OrderStatus.REFUNDED

    order.hear(ItemDelivered(item="1", instructions=LINK, under_way=0))

    assert handed_over(order) == [("Course", "download")]
    assert status_of(order) is OrderStatus.REFUNDED and order.state.lines[0].unsent == ()


def test_an_order_is_completed_when_what_is_left_of_an_item_was_ended() -> None:
    order = paid_order("course").hear(progressed("1", "waiting", "Parcel."))
    assert status_of(order) is OrderStatus.PROCESSING

    order.hear(ItemRetried(item="1", configuration=2, status="delivered"))

    assert status_of(order) is OrderStatus.COMPLETED
