"""Stock: counted, corrected, low, and its history."""

from __future__ import annotations

from services.fulfillment.domain.keys import row_key
from services.fulfillment.domain.product import Product
from services.fulfillment.domain.stock import Stock, StockMovement
from shared.contracts.checkout import OrderCancelled
from shared.contracts.fulfillment import ConfigureProduct, ReceiveStock, Shipment
from shared.contracts.stock import AdjustStock, SetStock, StockLow
from shared.core import Message
from tests.unit.fulfillment.examples import PAID, Shop, line, placed, refund

POSTER = row_key("acme", "poster")


def history(shop: Shop) -> list[tuple[str, int, int, int]]:
    """Why, units, units on hand and free units after it."""
    return [(move.why, move.units, move.on_hand, move.free) for move in shop.all.of(StockMovement)]


def test_staff_count_correct_and_see_why() -> None:
    shop = Shop(poster=5)
    shop.hear(SetStock(on_hand=7, reason="Counted."), POSTER)
    shop.hear(AdjustStock(units=-3, reason="Damaged."), POSTER)
    shop.hear(AdjustStock(units=1, reason="Found."), POSTER)

    assert shop.stock("poster") == Stock(on_hand=5, received=8, written_off=3)
    assert history(shop) == [("received", 5, 5, 5), ("set", 2, 7, 7), ("adjusted", -3, 4, 4), ("adjusted", 1, 5, 5)]
    assert [move.reason for move in shop.last.of(StockMovement)] == ["Found."]


def test_the_history_names_orders() -> None:
    shop = Shop(poster=5).given(placed(line("1", "poster", 2), line("2", "poster")), PAID)
    shop.hear(refund("1", restock=()))
    shop.hear(refund("1", "2"))

    taken = [("taken", -2, 3, 2), ("taken", -1, 2, 2)]
    assert history(shop)[1:] == [*taken, ("written_off", 0, 2, 2), ("put_back", 1, 3, 3)]
    assert {move.order_key for move in shop.last.of(StockMovement)} == {"o-1"}


def test_what_is_reserved_cannot_be_taken_away() -> None:
    shop = Shop(poster=5).given(placed(line("1", "poster", 4)))

    too_many: list[Message] = [SetStock(on_hand=3, reason="Counted."), AdjustStock(units=-2, reason="Lost.")]
    for command in too_many:
        refused = shop.refuses(command, POSTER)
        assert refused.code == "reserved"
        assert refused.text.startswith("5 on hand, 4 of them reserved for orders: at most 1 can be taken away.")
    shop.hear(AdjustStock(units=-1, reason="Lost."), POSTER)
    assert shop.stock("poster").free == 0


def test_a_change_of_nothing_and_a_wrong_key_are_refused() -> None:
    shop = Shop()
    assert shop.refuses(AdjustStock(units=0, reason="?"), POSTER).code == "no_quantity"
    assert shop.refuses(SetStock(on_hand=1, reason="?"), "poster").code == "wrong_key"
    assert shop.refuses(AdjustStock(units=-1, reason="?"), POSTER).code == "reserved"


def test_staff_are_told_once_when_too_few_are_free() -> None:
    shop = Shop(poster=5)
    shop.hear(ConfigureProduct(action=Shipment(), track_stock=True, low_stock=3), POSTER)

    shop.hear(placed(line("1", "poster", 2)))
    assert shop.last.of(StockLow) == []
    shop.hear(placed(line("1", "poster"), line("2", "poster")), "o-2")
    assert shop.last.of(StockLow) == [StockLow(sku="poster", product="Poster", free=2, low_stock=3)]
    shop.hear(placed(line("1", "poster")), "o-3")
    assert shop.last.of(StockLow) == []
    assert shop.stock("poster").low_since is not None

    shop.hear(OrderCancelled(), "o-2")
    assert shop.stock("poster").low_since is not None
    shop.hear(OrderCancelled(), "o-3")
    assert shop.stock("poster").low_since is None
    shop.hear(placed(line("1", "poster")), "o-4")
    assert shop.last.of(StockLow) == [StockLow(sku="poster", product="Poster", free=2, low_stock=3)]


def test_a_threshold_counts_at_once_and_is_no_new_version_of_the_product() -> None:
    shop = Shop(poster=5)

    shop.hear(ConfigureProduct(action=Shipment(), track_stock=True, low_stock=6), POSTER)
    assert shop.stock("poster").low_since is not None
    shop.hear(ReceiveStock(quantity=1), POSTER)
    assert shop.stock("poster").low_since is None
    shop.hear(ConfigureProduct(action=Shipment(), track_stock=True), POSTER)
    assert shop.stock("poster") == Stock(on_hand=6, received=6)
    product = shop.row(Product, POSTER)
    assert product is not None
    assert product.version == 1
