"""Shipments: staff send parcels."""

from __future__ import annotations

from shared.contracts.checkout import OrderCancelled
from shared.contracts.fulfillment import ItemDelivered, ItemRevoked, ItemWaiting, ShipOrder
from shared.contracts.values import Instructions
from tests.unit.fulfillment.examples import PAID, Shop, line, paid, placed, refund

PARCEL = ShipOrder(carrier="DHL", tracking="T1")


def test_a_shipment_waits_for_the_parcel() -> None:
    shop = Shop().given(placed(line("1", "poster"), line("2", "poster")))

    assert [type(event) for event in shop.hear(PAID).published] == [ItemWaiting, ItemWaiting]
    shop.hear(ShipOrder(carrier="DHL", tracking="T1", items=("2",)))
    assert [event.item for event in shop.last.of(ItemDelivered)] == ["2"]
    shop.hear(ShipOrder(carrier="UPS", tracking="T2"))
    instructions = Instructions(kind="shipment", carrier="UPS", tracking="T2")
    assert shop.published == [ItemDelivered(item="1", instructions=instructions, under_way=0)]


def test_what_cannot_be_shipped_is_refused_with_every_reason() -> None:
    shop = paid("poster", "ebook").given(PARCEL)

    refused = shop.refuses(ShipOrder(carrier="DHL", tracking="T2", items=("1", "2", "3")))

    assert [problem.code for problem in refused.problems] == ["already_shipped", "not_a_shipment", "unknown_item"]
    expected = "Item 1 is already shipped. Item 2 is not delivered by parcel. The order has no item 3."
    assert refused.text == expected
    assert shop.refuses(PARCEL).code == "nothing_to_ship"
    assert shop.refuses(PARCEL, "o-9").code == "unknown_order"
    shop.hear(OrderCancelled())
    assert shop.refuses(PARCEL).code == "order_cancelled"


def test_a_refunded_parcel_is_not_sent() -> None:
    shop = paid("poster")
    assert shop.hear(refund("1")).published == [ItemRevoked(item="1")]

    assert shop.refuses(ShipOrder(carrier="DHL", tracking="T", items=("1",))).code == "item_revoked"


def test_items_of_one_parcel_count_down() -> None:
    assert paid("poster", "poster", "poster").hear(PARCEL).in_progress() == [2, 1, 0]
