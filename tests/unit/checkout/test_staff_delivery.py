"""What staff did about deliveries, as checkout tells it."""

from __future__ import annotations

from shared.contracts.checkout import (
    CompleteOrder,
    OrderCompleted,
    OrderItemsDelivered,
    OrderSupplyLow,
)
from shared.contracts.delivery_work import (
    DeliveryNoted,
    DeliveryResent,
    DeliveryWaitsForStaff,
    ItemReturned,
    OrderWaitsForStaff,
    ResentItem,
)
from shared.contracts.envelope import encode
from shared.contracts.fulfillment import ItemDelivered, ItemFailed, ItemProgressed, ItemRetried, ItemWaiting
from shared.contracts.payments import RefundedLine
from shared.contracts.stock import StockLow
from shared.contracts.values import Instructions, OrderStatus
from tests.unit.checkout.examples import delivered, paid_order, refunded

BY_HAND = Instructions(kind="manual", note="Enjoy!")


def test_what_staff_did_is_in_the_timeline_with_their_reason() -> None:
    order = paid_order("course")
    order.hear(DeliveryNoted(action="held", text="The address looks odd."))
    order.hear(DeliveryNoted(action="marked_delivered", items=("1",), text="As agreed."))
    order.hear(ItemReturned(item="1", quantity=1, returned=1, whole=True, resaleable=False, reason="Torn."))

    assert [entry.text for entry in order.timeline][-3:] == [
        "Held: nothing is delivered until it is released. The address looks odd.",
        "Marked as delivered by hand (Course). As agreed.",
        "1 of Course returned, not to be sold again. Torn.",
    ]


def test_what_is_delivered_quietly_completes_the_order_and_tells_the_customer_nothing() -> None:
    order = paid_order("course").hear(ItemDelivered(item="1", instructions=BY_HAND, under_way=0, quiet=True))
    assert order.facts == [OrderCompleted()]


def test_a_completed_order_is_sent_again_and_stays_completed() -> None:
    order = paid_order("course").given(delivered("1"))
    order.hear(DeliveryResent(items=(ResentItem(item="1", instructions=BY_HAND),)))

    (sent,) = order.facts
    assert isinstance(sent, OrderItemsDelivered)
    assert [(item.item, item.quantity, item.instructions.note) for item in sent.items] == [("1", 1, "Enjoy!")]
    order.hear(DeliveryNoted(action="resend_failed", items=("1",), text="Fix it."))
    assert order.record().status is OrderStatus.COMPLETED


def test_a_parcel_with_some_units_is_told_as_that() -> None:
    order = paid_order("atlas")
    parcel = Instructions(kind="shipment", carrier="DHL", tracking="T", quantity=2, parcel="1")
    order.hear(ItemProgressed(item="1", instructions=parcel, status="waiting", text="2 of 3 sent.", under_way=0))

    (sent,) = order.facts
    assert isinstance(sent, OrderItemsDelivered)
    assert (sent.items[0].quantity, order.record().message) == (2, "Atlas: 2 of 3 sent.")


def test_low_stock_is_passed_on_and_changes_nothing() -> None:
    order = paid_order("course")
    order.hear(StockLow(sku="atlas", product="Field Atlas", free=2, low_stock=5))
    text = "2 free of SKU atlas, fewer than 5. Order more."
    assert order.facts == [OrderSupplyLow(what="stock of Field Atlas", text=text)]
    assert order.entry("stock.low").text == "Stock of Field Atlas is low: 2 free."


def test_many_long_notes_reach_the_customer_in_messages_that_fit() -> None:
    order, notes = paid_order("course"), 200
    long = Instructions(kind="manual", note="字" * 2000)
    for _ in range(notes):
        order.hear(ItemProgressed(item="1", instructions=long, status="pending", under_way=1))
    order.hear(ItemDelivered(item="1", instructions=long, under_way=0))
    sent = order.last.of(OrderItemsDelivered)
    assert sum(len(one.items) for one in sent) == notes + 1
    assert max(len(encode(one)) for one in sent) < 900_000


def test_what_was_refunded_since_is_not_said_to_be_sent() -> None:
    order = paid_order("course", "game").hear(delivered("1"))
    order.hear(refunded(1000, 3500, items=(RefundedLine(item="1", amount=1000, whole=True),)))
    link = Instructions(kind="download", link="https://get.example/1")
    order.hear(DeliveryResent(items=(ResentItem(item="1", instructions=link),)))
    assert order.last.of(OrderItemsDelivered) == []
    assert order.timeline[-1].text.endswith("(No effect: it was refunded or revoked since.)")


def test_what_waits_for_staff_is_told_and_changes_nothing_of_the_order() -> None:
    """So that its age in the list of what waits is that of the trouble."""
    order = paid_order("course")
    before = order.state
    waits = DeliveryWaitsForStaff(
        what="Course", text="Course, for 3 days: Call Ada.", since=order.at, again=True, access_left=False
    )
    order.hear(waits)
    assert order.published == [
        OrderWaitsForStaff(what="Course", text="Course, for 3 days: Call Ada.", since=waits.since, again=True)
    ]
    assert order.state is before
    assert order.entry("delivery.waits_for_staff").text == "Still waits for staff. Course, for 3 days: Call Ada."


def test_what_staff_have_completed_by_hand_is_told_no_more_but_access_that_is_left() -> None:
    order = paid_order("course")
    waits = DeliveryWaitsForStaff(what="Course", text="Course: Call Ada.", since=order.at)
    order.hear(CompleteOrder(note="Done.")).hear(waits)
    assert order.facts == []
    assert order.timeline[-1].text.endswith("(No effect: the order is completed.)")
    order.hear(waits.model_copy(update={"access_left": True}))
    assert len(order.facts) == 1
    order.hear(waits.model_copy(update={"since": order.at}))
    assert len(order.facts) == 1, "it began to wait since then"


def test_the_age_of_a_failure_is_not_changed_by_what_else_happens() -> None:
    order = paid_order("course", "atlas").hear(ItemFailed(item="1", code="forbidden", text="HTTP 403"))
    began = order.at
    order.hear(ItemWaiting(item="2", code="shipment", text="Waiting for a parcel."))
    order.hear(ItemFailed(item="1", code="forbidden", text="HTTP 403 again"))
    assert [line.trouble_since == began for line in order.state.lines[:2]] == [True, False]
    order.hear(ItemRetried(item="1"))
    assert order.state.lines[0].trouble_since is None
