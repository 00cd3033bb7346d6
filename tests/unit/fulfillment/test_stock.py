"""Stock: set aside when placed, taken when paid, back exactly once."""

from __future__ import annotations

from services.fulfillment.domain.operations import SignDownload
from services.fulfillment.domain.states import Delivery, ItemStatus, Stage, Stock
from shared.contracts.checkout import OrderExpired
from shared.contracts.fulfillment import (
    Download,
    ReceiveStock,
    Shipment,
    ShipOrder,
    StockRefused,
    StockReleased,
    StockReserved,
)
from shared.contracts.values import OrderStatus
from shared.core import Decision, Ref
from tests.unit.fulfillment.bench import Bench, line

POSTER = Shipment()
EBOOK = Download(file="book.pdf")


def test_a_placed_order_reserves_its_stock_and_a_paid_one_takes_it() -> None:
    bench = Bench()
    bench.product("poster", POSTER, stock=3)

    assert bench.place(line("1", "poster", 2)) == [StockReserved()]
    assert bench.stock("poster") == Stock(on_hand=3, reserved=2, received=3)

    bench.pay()
    assert bench.stock("poster") == Stock(on_hand=1, reserved=0, received=3)


def test_stock_is_reserved_also_when_nothing_is_tracked() -> None:
    bench = Bench()
    bench.product("ebook", EBOOK)

    assert bench.place(line("1", "ebook"), line("2", "never-heard-of")) == [StockReserved()]


def test_the_last_unit_goes_to_one_of_two_orders() -> None:
    bench = Bench()
    bench.product("poster", POSTER, stock=1)

    assert bench.place(line("1", "poster"), key="o-1") == [StockReserved()]
    assert bench.place(line("1", "poster"), key="o-2") == [StockRefused(skus=("poster",))]
    assert bench.cancel("o-2") == []
    assert bench.stock("poster").reserved == 1


def test_the_same_sku_on_two_lines_is_summed() -> None:
    bench = Bench()
    bench.product("poster", POSTER, stock=3)

    assert bench.place(line("1", "poster", 2), line("2", "poster", 2)) == [StockRefused(skus=("poster",))]
    assert bench.stock("poster").reserved == 0

    assert bench.place(line("1", "poster", 2), line("2", "poster", 1), key="o-2") == [StockReserved()]
    assert bench.stock("poster").free == 0


def test_tracked_but_never_received_is_sold_out() -> None:
    bench = Bench()
    bench.product("poster", POSTER, stock=0)

    assert bench.place(line("1", "poster")) == [StockRefused(skus=("poster",))]


def test_nothing_is_set_aside_when_one_of_several_is_missing() -> None:
    bench = Bench()
    bench.product("poster", POSTER, stock=5)
    bench.product("mug", POSTER, stock=1)

    assert bench.place(line("1", "poster"), line("2", "mug", 2)) == [StockRefused(skus=("mug",))]
    assert bench.stock("poster").reserved == 0


def test_cancelling_gives_reserved_units_back_once() -> None:
    bench = Bench()
    bench.product("poster", POSTER, stock=2)
    bench.place(line("1", "poster", 2))

    assert bench.cancel() == [StockReleased(skus={"poster": 2})]
    assert bench.cancel() == []
    assert bench.expire() == []
    assert bench.stock("poster") == Stock(on_hand=2, reserved=0, received=2)


def test_cancelling_after_payment_gives_taken_units_back_once() -> None:
    bench = Bench()
    bench.product("poster", POSTER, stock=2)
    bench.place(line("1", "poster", 2))
    bench.pay()

    assert StockReleased(skus={"poster": 2}) in bench.cancel()
    assert bench.refund("1", whole=True) == []
    assert bench.stock("poster") == Stock(on_hand=2, reserved=0, received=2)


def test_a_refund_of_one_item_gives_back_its_units_and_a_later_cancel_the_others() -> None:
    bench = Bench()
    bench.product("poster", POSTER, stock=2)
    bench.product("mug", POSTER, stock=2)
    bench.place(line("1", "poster"), line("2", "mug"))
    bench.pay()

    assert StockReleased(skus={"poster": 1}) in bench.refund("1")
    assert StockReleased(skus={"mug": 1}) in bench.cancel()
    assert (bench.stock("poster").free, bench.stock("mug").free) == (2, 2)


def test_tracking_switched_off_in_between_changes_nothing_for_orders_that_hold_units() -> None:
    bench = Bench()
    bench.product("poster", POSTER, stock=2)
    bench.place(line("1", "poster"))
    bench.product("poster", POSTER)
    bench.cancel()

    assert bench.stock("poster") == Stock(on_hand=2, reserved=0, received=2)


def test_an_order_cancelled_before_it_was_known_reserves_nothing() -> None:
    bench = Bench()
    bench.product("poster", POSTER, stock=2)
    bench.cancel()

    assert bench.place(line("1", "poster")) == []
    assert bench.pay() == []
    assert bench.stock("poster").reserved == 0


def test_an_abandoned_checkout_leaves_no_trace() -> None:
    bench = Bench()

    bench.heard(OrderExpired(was=OrderStatus.CREATED))

    assert Ref(Delivery, "o-1") not in bench.rows


def test_placed_twice_reserves_once() -> None:
    bench = Bench()
    bench.product("poster", POSTER, stock=2)
    bench.place(line("1", "poster"))

    assert bench.place(line("1", "poster")) == []
    assert bench.stock("poster").reserved == 1


def test_paid_without_a_reservation_delivers_nothing() -> None:
    bench = Bench()
    bench.product("poster", POSTER, stock=0)
    assert bench.pay() == []
    bench.place(line("1", "poster"))

    assert bench.pay() == []
    assert bench.delivery().stage is Stage.REFUSED
    assert bench.refusal(ShipOrder(carrier="DHL", tracking="1")).code == "order_cancelled"


def test_an_item_refunded_before_payment_is_not_delivered_afterwards() -> None:
    bench = Bench()
    bench.product("ebook", EBOOK)
    bench.place(line("1", "ebook"), line("2", "ebook"))
    bench.refund("1")
    bench.pay()

    assert bench.wanted(SignDownload).item == "2"
    assert bench.item("1").status is ItemStatus.REVOKED


def test_receiving_stock_adds_up_and_needs_units_and_a_key_of_store_and_sku() -> None:
    bench = Bench()

    assert isinstance(bench.say(ReceiveStock(quantity=2), "acme/mug"), Decision)
    assert isinstance(bench.say(ReceiveStock(quantity=3), "acme/mug"), Decision)
    assert bench.stock("mug") == Stock(on_hand=5, reserved=0, received=5)
    assert bench.refusal(ReceiveStock(quantity=0), "acme/mug").code == "no_quantity"
    assert bench.refusal(ReceiveStock(quantity=1), "mug").code == "wrong_key"
