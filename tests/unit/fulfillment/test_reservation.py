"""Stock: reserved when the order is placed, taken when it is paid, released exactly once."""

from __future__ import annotations

from services.fulfillment.domain.delivery import Delivery, ItemStatus, Stage
from services.fulfillment.domain.operations import SignDownload
from services.fulfillment.domain.stock import Stock
from shared.contracts.checkout import OrderCancelled, OrderExpired
from shared.contracts.fulfillment import (
    ItemDelivered,
    ReceiveStock,
    Shipment,
    ShipOrder,
    StockRefused,
    StockReleased,
    StockReserved,
)
from shared.contracts.values import OrderStatus
from tests.unit.fulfillment.examples import PAID, Shop, delivery_charge, line, placed, refund

EXPIRED = OrderExpired(was=OrderStatus.PENDING_PAYMENT)


def test_a_placed_order_reserves_its_stock_and_a_paid_one_takes_it() -> None:
    shop = Shop(poster=3)

    assert shop.hear(placed(line("1", "poster", 2))).published == [StockReserved()]
    assert shop.stock("poster") == Stock(on_hand=3, reserved=2, received=3)

    shop.hear(PAID)
    assert shop.stock("poster") == Stock(on_hand=1, reserved=0, received=3)


def test_stock_is_reserved_also_when_nothing_is_tracked() -> None:
    assert Shop().hear(placed(line("1", "ebook"), line("2", "unknown"))).published == [StockReserved()]


def test_a_delivery_charge_needs_no_stock_and_is_not_delivered() -> None:
    shop = Shop(poster=1).hear(placed(line("1", "poster"), delivery_charge("2")))

    assert shop.published == [StockReserved()]
    assert shop.stock("poster").reserved == 1
    assert [item.id for item in shop.state.items] == ["1"]
    shop.hear(PAID).hear(ShipOrder(carrier="Post", tracking="T"))
    assert [type(event) for event in shop.published] == [ItemDelivered]
    assert shop.hear(refund("2")).published == []
    assert shop.stock("poster") == Stock(on_hand=0, reserved=0, received=1)


def test_the_last_unit_goes_to_one_of_two_orders() -> None:
    shop = Shop(poster=1)

    assert shop.hear(placed(line("1", "poster"))).published == [StockReserved()]
    assert shop.hear(placed(line("1", "poster")), "o-2").published == [StockRefused(skus=("poster",))]
    assert shop.hear(OrderCancelled(), "o-2").published == []
    assert shop.stock("poster").reserved == 1


def test_the_same_sku_on_two_lines_is_summed() -> None:
    shop = Shop(poster=3)

    shop.hear(placed(line("1", "poster", 2), line("2", "poster", 2)))
    assert shop.published == [StockRefused(skus=("poster",))]
    assert shop.stock("poster").reserved == 0

    shop.hear(placed(line("1", "poster", 2), line("2", "poster", 1)), "o-2")
    assert shop.published == [StockReserved()]
    assert shop.stock("poster").free == 0


def test_tracked_but_never_received_is_sold_out() -> None:
    assert Shop(poster=0).hear(placed(line("1", "poster"))).published == [StockRefused(skus=("poster",))]


def test_nothing_is_reserved_when_one_of_several_is_missing() -> None:
    shop = Shop(poster=5)
    shop.configure("mug", Shipment(), stock=1)

    assert shop.hear(placed(line("1", "poster"), line("2", "mug", 2))).published == [StockRefused(skus=("mug",))]
    assert shop.stock("poster").reserved == 0


def test_a_cancellation_releases_reserved_units_once() -> None:
    shop = Shop(poster=2).given(placed(line("1", "poster", 2)))

    assert shop.hear(OrderCancelled()).published == [StockReleased(skus={"poster": 2})]
    assert shop.hear(OrderCancelled()).published == []
    assert shop.hear(EXPIRED).published == []
    assert shop.stock("poster") == Stock(on_hand=2, reserved=0, received=2)


def test_a_cancellation_after_payment_releases_taken_units_once() -> None:
    shop = Shop(poster=2).given(placed(line("1", "poster", 2)), PAID)

    assert StockReleased(skus={"poster": 2}) in shop.hear(OrderCancelled()).published
    assert shop.hear(refund("1", whole=True)).published == []
    assert shop.stock("poster") == Stock(on_hand=2, reserved=0, received=2)


def test_a_refund_of_one_item_releases_its_units_and_a_later_cancellation_the_others() -> None:
    shop = Shop(poster=2)
    shop.configure("mug", Shipment(), stock=2)
    shop.given(placed(line("1", "poster"), line("2", "mug")), PAID)

    assert StockReleased(skus={"poster": 1}) in shop.hear(refund("1")).published
    assert StockReleased(skus={"mug": 1}) in shop.hear(OrderCancelled()).published
    assert (shop.stock("poster").free, shop.stock("mug").free) == (2, 2)


def test_tracking_switched_off_meanwhile_changes_nothing_for_orders_that_hold_units() -> None:
    shop = Shop(poster=2).given(placed(line("1", "poster")))
    shop.configure("poster", Shipment())
    shop.hear(OrderCancelled())

    assert shop.stock("poster") == Stock(on_hand=2, reserved=0, received=2)


def test_an_order_cancelled_before_it_was_placed_reserves_nothing() -> None:
    shop = Shop(poster=2).given(OrderCancelled())

    assert shop.hear(placed(line("1", "poster"))).published == []
    assert shop.hear(PAID).published == []
    assert shop.stock("poster").reserved == 0


def test_an_abandoned_checkout_leaves_no_trace() -> None:
    assert Shop().hear(OrderExpired(was=OrderStatus.CREATED)).row(Delivery) is None


def test_placed_twice_reserves_once() -> None:
    shop = Shop(poster=2).given(placed(line("1", "poster")))

    assert shop.hear(placed(line("1", "poster"))).published == []
    assert shop.stock("poster").reserved == 1


def test_paid_without_a_reservation_delivers_nothing() -> None:
    shop = Shop(poster=0)
    assert shop.hear(PAID).published == []
    shop.hear(placed(line("1", "poster")))

    assert shop.hear(PAID).published == []
    assert shop.state.stage is Stage.REFUSED
    assert shop.refuses(ShipOrder(carrier="DHL", tracking="1")).code == "order_cancelled"


def test_an_item_refunded_before_payment_is_not_delivered_afterwards() -> None:
    shop = Shop().given(placed(line("1", "ebook"), line("2", "ebook")), refund("1"), PAID)

    assert shop.operation(SignDownload).item == "2"
    assert shop.item("1").status is ItemStatus.REVOKED


def test_received_units_add_up_and_need_a_key_of_store_and_sku() -> None:
    shop = Shop()
    shop.hear(ReceiveStock(quantity=2), "acme/mug").hear(ReceiveStock(quantity=3), "acme/mug")

    assert shop.stock("mug") == Stock(on_hand=5, reserved=0, received=5)
    assert shop.refuses(ReceiveStock(quantity=0), "acme/mug").code == "no_quantity"
    assert shop.refuses(ReceiveStock(quantity=1), "mug").code == "wrong_key"
