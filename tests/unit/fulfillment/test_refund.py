"""A refund's choices: access is taken away, or left; units go back to the stock, or not. Each by itself."""

from __future__ import annotations

import pytest

from services.fulfillment.domain.delivery import ItemStatus
from services.fulfillment.domain.operations import GrantAccess, RevokeAccess, SignDownload
from services.fulfillment.domain.stock import Stock
from shared.contracts.checkout import OrderCancelled
from shared.contracts.fulfillment import ItemRevoked, ShipOrder, StockReleased
from tests.unit.fulfillment.examples import LINK, PAID, PRODUCTS, Shop, line, paid, placed, refund


def shipped() -> Shop:
    """Two posters of two, shipped."""
    shop = Shop(poster=2).given(placed(line("1", "poster", 2)), PAID)
    return shop.given(ShipOrder(carrier="Post", tracking="T"))


def downloaded() -> Shop:
    return paid("ebook").answer(SignDownload, SignDownload.Done(LINK))


def test_access_can_be_left() -> None:
    shop = downloaded()
    assert shop.hear(refund("1", remove_access=())).published == []
    assert shop.item().status is ItemStatus.DELIVERED


def test_without_a_choice_access_ends_and_stock_goes_back() -> None:
    shop = shipped().hear(refund("1"))
    assert [*map(type, shop.published)] == [StockReleased, ItemRevoked]
    assert shop.stock("poster") == Stock(on_hand=2, received=2)


def test_stock_can_be_left_as_it_is() -> None:
    shop = shipped().hear(refund("1", restock=()))
    assert shop.published == [ItemRevoked(item="1")]
    assert shop.stock("poster") == Stock(on_hand=0, received=2, written_off=2)


def test_stock_goes_back_where_access_is_left() -> None:
    shop = shipped().hear(refund("1", remove_access=()))
    assert shop.published == [StockReleased(skus={"poster": 2})]
    assert shop.item().status is ItemStatus.DELIVERED


@pytest.mark.parametrize("again", [refund("1"), refund("1", whole=True), refund("1", restock=()), OrderCancelled()])
@pytest.mark.parametrize("first", [refund("1"), refund("1", restock=()), refund("1", remove_access=(), restock=())])
def test_units_move_once_whatever_comes_after(first: object, again: object) -> None:
    """A second refund of the item, a message that comes twice, a cancellation."""
    shop = shipped().hear(first)
    stock = shop.stock("poster")
    assert not shop.hear(again).last.of(StockReleased)
    assert shop.stock("poster") == stock


def test_a_refund_after_a_cancellation_writes_nothing_off() -> None:
    shop = shipped().given(OrderCancelled()).hear(refund("1", restock=()))
    assert shop.stock("poster") == Stock(on_hand=2, received=2)


def test_a_cancellation_ends_access_that_a_refund_left() -> None:
    shop = downloaded().given(refund("1", remove_access=()))
    assert shop.hear(OrderCancelled()).published == [ItemRevoked(item="1")]


def test_units_that_were_only_reserved_are_free_again() -> None:
    shop = Shop(poster=2).given(placed(line("1", "poster", 2))).hear(refund("1", restock=()))
    assert shop.stock("poster") == Stock(on_hand=2, received=2)


def test_what_is_not_delivered_yet_is_not_delivered_any_more() -> None:
    shop = paid("course").hear(refund("1", remove_access=()))
    assert shop.item().status is ItemStatus.STOPPING
    shop.answer(GrantAccess, GrantAccess.Done())
    assert shop.operation(RevokeAccess).url == PRODUCTS["course"].url  # type: ignore[union-attr]


def test_a_whole_refund_leaves_what_an_earlier_one_left() -> None:
    shop = Shop(poster=2).given(placed(line("1", "ebook"), line("2", "poster")), PAID)
    shop.answer(SignDownload, SignDownload.Done(LINK)).given(refund("1", remove_access=(), restock=()))
    shop.hear(refund("1", "2", whole=True, remove_access=("2",), restock=("2",)))
    assert [item.status for item in shop.state.items] == [ItemStatus.DELIVERED, ItemStatus.REVOKED]
    assert shop.stock("poster").on_hand == 2
