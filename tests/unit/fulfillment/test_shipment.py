"""Shipments: staff send parcels."""

from __future__ import annotations

from shared.contracts.checkout import OrderCancelled
from shared.contracts.delivery_work import (
    DeliveryNoted,
    DeliveryResent,
    GrantAgainDelivery,
    ParcelDelivered,
    ResendDelivery,
    RevokeDelivery,
)
from shared.contracts.fulfillment import ItemDelivered, ItemProgressed, ItemRevoked, ItemWaiting, ShipOrder
from shared.contracts.values import Instructions
from tests.unit.fulfillment.examples import PAID, Shop, line, paid, placed, refund

PARCEL = ShipOrder(carrier="DHL", tracking="T1")


def test_a_shipment_waits_for_the_parcel() -> None:
    shop = Shop().given(placed(line("1", "poster"), line("2", "poster")))

    assert [type(event) for event in shop.hear(PAID).published] == [ItemWaiting, ItemWaiting]
    shop.hear(ShipOrder(carrier="DHL", tracking="T1", items=("2",)))
    assert [event.item for event in shop.last.of(ItemDelivered)] == ["2"]
    shop.hear(ShipOrder(carrier="UPS", tracking="T2"))
    instructions = Instructions(
        kind="shipment", carrier="UPS", tracking="T2", link="https://www.ups.com/track?tracknum=T2", parcel="2"
    )
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


def test_an_item_is_sent_in_several_parcels_and_delivered_with_the_last() -> None:
    shop = Shop().given(placed(line("1", "poster", 3), line("2", "poster")), PAID)

    shop.hear(
        ShipOrder(carrier="Own van", tracking="7", quantities={"1": 2}, items=("2",), link="https://acme.example/7")
    )
    (part,), (whole,) = shop.last.of(ItemProgressed), shop.last.of(ItemDelivered)
    assert (part.item, part.status, part.text) == ("1", "waiting", "2 of 3 sent. Waiting for the rest to be sent.")
    assert part.instructions == Instructions(
        kind="shipment", carrier="Own van", tracking="7", link="https://acme.example/7", quantity=2, parcel="1"
    )
    assert (whole.item, whole.instructions.quantity, whole.instructions.parcel) == ("2", None, "1")

    refused = shop.refuses(ShipOrder(carrier="DHL", tracking="T", quantities={"1": 2}))
    assert (refused.code, refused.text) == ("wrong_quantity", "Item 1: 1 of 3 are left to send, not 2.")
    shop.hear(ShipOrder(carrier="Royal  Mail", tracking="RM 1"))
    (last,) = shop.last.of(ItemDelivered)
    assert (last.item, last.instructions.quantity, last.instructions.parcel) == ("1", 1, "2")
    assert last.instructions.link == "https://www.royalmail.com/track-your-item#/tracking-results/RM%201"
    (told,) = shop.told()[-1:]
    assert [[(it.parcel, it.quantity) for it in each.parcels] for each in told.executions] == [
        [("1", 2), ("2", 1)],
        [("1", 1)],
    ]


def test_a_parcel_arrives_as_its_carrier_says() -> None:
    shop = paid("poster", "poster").given(ShipOrder(carrier="DHL", tracking="T1", parcel="dhl-1"))
    assert shop.refuses(ShipOrder(carrier="DHL", tracking="T1", parcel="dhl-1")).code == "nothing_to_ship"

    shop.hear(ParcelDelivered(parcel="dhl-1", reason="Left with a neighbour."))
    text = "Parcel dhl-1. Left with a neighbour."
    assert shop.published == [DeliveryNoted(action="parcel_delivered", items=("1", "2"), text=text)]
    assert all(parcel.delivered_at for item in shop.state.items for parcel in item.parcels)
    assert shop.refuses(ParcelDelivered(parcel="dhl-1")).code == "parcel_delivered"
    assert shop.refuses(ParcelDelivered(parcel="2")).code == "unknown_parcel"


def test_a_parcel_is_known_by_one_id_only() -> None:
    shop = Shop().given(placed(line("1", "poster", 2)), PAID)
    shop.hear(ShipOrder(carrier="DHL", tracking="T1", parcel="a", quantities={"1": 1}))
    assert shop.refuses(ShipOrder(carrier="DHL", tracking="T2", parcel="a")).code == "known_parcel"
    assert shop.refuses(ShipOrder(carrier="DHL", tracking="T2", quantities={"1": 0})).code == "wrong_quantity"


def two_parcels() -> Shop:
    """Of three units: two in parcel 1, one in parcel 2."""
    shop = Shop().given(placed(line("1", "poster", 3)), PAID)
    first = ShipOrder(carrier="Ups", tracking="T1", quantities={"1": 2}, link="https://ups.example/1")
    return shop.given(first, ShipOrder(carrier="DHL", tracking="T2"))


def test_every_parcel_is_sent_again() -> None:
    shop = two_parcels().hear(ResendDelivery(reason="Lost."))
    (resent,) = shop.last.of(DeliveryResent)
    told = [(it.instructions.parcel, it.instructions.tracking, it.instructions.quantity) for it in resent.items]
    assert told == [("1", "T1", 2), ("2", "T2", 1)]
    assert resent.items[0].instructions.link == "https://ups.example/1"


def test_parcels_without_an_id_get_one_that_no_other_has() -> None:
    shop = Shop().given(placed(line("1", "poster", 3)), PAID)
    shop.hear(ShipOrder(carrier="DHL", tracking="T1", quantities={"1": 1}, parcel="2"))
    shop.hear(ShipOrder(carrier="DHL", tracking="T2", quantities={"1": 1}))
    assert [parcel.id for parcel in shop.item().parcels] == ["2", "3"]


def test_parcels_are_remembered_when_their_item_is_granted_again() -> None:
    shop = two_parcels().given(RevokeDelivery(reason="Lost."), GrantAgainDelivery(reason="Send it again."))
    assert shop.item().sent == 0
    shop.given(ParcelDelivered(parcel="1"), ShipOrder(carrier="DHL", tracking="T3"))
    assert [(parcel.id, parcel.former) for parcel in shop.item().parcels] == [("1", True), ("2", True), ("3", False)]
