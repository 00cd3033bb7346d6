"""Returns and stock: what was sold is put back once, in whatever order refunds and returns come."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from services.fulfillment.domain.delivery import Delivery, ItemStatus
from services.fulfillment.domain.keys import row_key
from services.fulfillment.domain.operations import SignDownload
from services.fulfillment.domain.stock import Stock
from shared.contracts.checkout import OrderCancelled
from shared.contracts.delivery_work import (
    GrantAgainDelivery,
    HoldDelivery,
    ItemReturned,
    MarkDeliveredDelivery,
    ReleaseDelivery,
    ReturnDelivery,
    ReturnedLine,
    RevokeDelivery,
)
from shared.contracts.fulfillment import ConfigureProduct, Download, Shipment, ShipOrder
from shared.contracts.payments import RefundLine, RefundPayment
from shared.contracts.stock import AdjustStock, SetStock
from shared.core import Message
from tests.unit.fulfillment.examples import LINK, PAID, Shop, line, paid, placed, refund

WHY = "Too small."
POSTER = row_key("acme", "poster")


def back(units: int | None = None, item: str = "1", *, resaleable: bool = True, **more: object) -> ReturnDelivery:
    return ReturnDelivery(items=(ReturnedLine(item=item, quantity=units),), resaleable=resaleable, reason=WHY, **more)  # type: ignore[arg-type]


def sent(units: int = 3) -> Shop:
    """Five posters, of which an order has so many."""
    shop = Shop(poster=5).given(placed(line("1", "poster", units)), PAID, ShipOrder(carrier="DHL", tracking="T"))
    assert shop.stock("poster").on_hand == 5 - units
    return shop


def test_units_come_back_one_by_one_and_never_too_many() -> None:
    shop = sent(3)
    shop.hear(back(1))
    returned = ItemReturned(item="1", quantity=1, returned=1, whole=False, resaleable=True, reason=WHY)
    assert shop.last.of(ItemReturned) == [returned]
    assert shop.stock("poster").on_hand == 3

    refused = shop.refuses(back(3))
    expected = "Item 1: 1 returned already, so that at most 2 can be, not 3."
    assert (refused.code, refused.text) == ("too_many_units", expected)
    shop.hear(back())
    assert shop.last.of(ItemReturned)[0].whole
    assert shop.stock("poster").on_hand == 5
    assert shop.refuses(back()).code == "nothing_to_return"


def test_a_refund_and_a_return_put_the_units_back_once() -> None:
    for messages in ((refund("1"), back()), (back(), refund("1")), (back(1), refund("1"), back(2))):
        assert sent(3).given(*messages).stock("poster").on_hand == 5
    assert sent(3).given(back(), OrderCancelled()).stock("poster").on_hand == 5


def test_what_was_refunded_but_not_put_back_is_when_it_comes_back() -> None:
    shop = sent(3).given(refund("1", restock=()))
    assert (shop.stock("poster").on_hand, shop.stock("poster").written_off) == (2, 3)
    shop.hear(back(2))
    assert (shop.stock("poster").on_hand, shop.stock("poster").written_off) == (4, 1)


def test_what_cannot_be_sold_again_is_written_off_also_if_a_refund_says_otherwise() -> None:
    shop = sent(3).given(back(2, resaleable=False), refund("1"))
    assert (shop.stock("poster").on_hand, shop.stock("poster").written_off) == (3, 2)


def test_of_what_also_brings_a_download_only_units_that_were_sent_come_back() -> None:
    shop = Shop(poster=5)
    bundle = ConfigureProduct(action=Shipment(), further=(Download(file="a.pdf"),), track_stock=True)
    shop.hear(bundle, POSTER).given(placed(line("1", "poster", 3)), PAID)
    shop.answer(SignDownload, SignDownload.Done(LINK))
    assert shop.refuses(back()).code == "nothing_to_return"
    shop.hear(ShipOrder(carrier="DHL", tracking="T", quantities={"1": 1}))
    assert shop.refuses(back(2)).code == "too_many_units"
    shop.hear(back(1))
    assert shop.stock("poster").on_hand == 3


def test_what_came_back_is_not_sent_again_without_stock() -> None:
    shop = sent(2).given(back(1), RevokeDelivery(reason=WHY))
    refused = shop.refuses(GrantAgainDelivery(items=("1",), reason=WHY))
    assert (refused.code, refused.text) == (
        "returned",
        "1 of item 1 came back: to send it again, place another order.",
    )


AGAIN = GrantAgainDelivery(items=("1",), reason=WHY)
WITHDRAWN = RevokeDelivery(reason=WHY)
PARCEL = ShipOrder(carrier="DHL", tracking="T")


def test_what_is_sent_again_is_taken_from_stock_again() -> None:
    """The customer keeps the first two."""
    shop = sent(2).given(WITHDRAWN, AGAIN)
    assert shop.stock("poster") == Stock(on_hand=1, received=5, written_off=2)
    shop.hear(PARCEL)
    assert shop.stock("poster").on_hand == 1
    shop.given(WITHDRAWN)
    refused = shop.refuses(AGAIN)
    assert (refused.code, refused.text) == (
        "sold_out",
        "Item 1: 2 were sent and have to be taken from stock again, which has 1 free. Add stock first.",
    )
    shop.hear(AdjustStock(units=1, reason=WHY), POSTER).given(AGAIN, PARCEL)
    assert shop.stock("poster").on_hand == 0


def test_only_what_was_sent_is_taken_from_stock_again() -> None:
    shop = Shop(poster=5).given(placed(line("1", "poster", 2)), PAID, WITHDRAWN, AGAIN)
    assert shop.stock("poster").on_hand == 3
    shop.given(ShipOrder(carrier="DHL", tracking="T", quantities={"1": 1}), WITHDRAWN, AGAIN)
    assert shop.stock("poster").on_hand == 2
    shop.given(WITHDRAWN, AGAIN)
    assert shop.stock("poster").on_hand == 2
    shop.given(MarkDeliveredDelivery(reason=WHY), WITHDRAWN, AGAIN)
    assert shop.stock("poster").on_hand == 0
    assert shop.given(refund("1", whole=True)).stock("poster").on_hand == 2


def test_two_items_sent_again_share_the_free_units() -> None:
    shop = Shop(poster=3).given(placed(line("1", "poster"), line("2", "poster")), PAID, PARCEL, WITHDRAWN)
    refused = shop.refuses(GrantAgainDelivery(items=("1", "2"), reason=WHY))
    assert [problem.field for problem in refused.problems] == ["items.2"]
    assert shop.stock("poster").on_hand == 1


def test_a_refund_of_all_that_came_back_leaves_the_stock_of_other_items_as_any_refund() -> None:
    """Of a free item that was not sent yet, which ends with the order, the units stay in stock."""
    shop = Shop(poster=5)
    shop.configure("sticker", Shipment(), stock=5)
    shop.given(placed(line("1", "poster"), line("2", "sticker")), PAID)
    shop.given(ShipOrder(carrier="DHL", tracking="T", items=("1",)), back(refund=True))
    (asked,) = [sent.command for sent in shop.sent]
    assert isinstance(asked, RefundPayment)
    assert asked.restock is None
    shop.hear(refund("1", "2", whole=True))
    assert (shop.stock("poster").on_hand, shop.stock("sticker").on_hand) == (5, 5)


def test_what_was_free_comes_back_along_with_what_is_refunded() -> None:
    shop = Shop(poster=5).given(placed(line("1", "poster"), line("2", "poster")), PAID)
    shop.hear(ShipOrder(carrier="DHL", tracking="T"))
    free = ReturnedLine(item="2", amount=0)
    assert shop.refuses(ReturnDelivery(items=(free,), refund=True, reason=WHY)).code == "amount_needed"
    shop.hear(ReturnDelivery(items=(ReturnedLine(item="1"), free), refund=True, reason=WHY))
    (asked,) = [sent.command for sent in shop.sent]
    assert isinstance(asked, RefundPayment)
    assert asked.items == (RefundLine(item="1"),)
    assert [returned.item for returned in shop.last.of(ItemReturned)] == ["1", "2"]


def test_payments_are_asked_for_the_refund() -> None:
    shop = sent(3)
    assert shop.refuses(back(1, refund=True)).code == "amount_needed"
    part = ReturnDelivery(items=(ReturnedLine(item="1", quantity=1, amount=500),), refund=True, reason=WHY)
    shop.hear(part)
    (asked,) = shop.last.sent
    lines = (RefundLine(item="1", amount=500),)
    expected = RefundPayment(items=lines, reason="other", note="Returned. Too small.", restock=())
    assert asked == ("o-1", expected)
    shop.hear(back(refund=True))
    assert shop.last.sent[0].command.items == (RefundLine(item="1"),)  # type: ignore[attr-defined]


def test_what_was_never_sent_cannot_be_returned() -> None:
    shop = paid("poster", "ebook")
    refused = shop.refuses(ReturnDelivery(items=(ReturnedLine(item="1"), ReturnedLine(item="7")), reason=WHY))
    assert [problem.code for problem in refused.problems] == ["nothing_to_return", "unknown_item"]
    twice = ReturnDelivery(items=(ReturnedLine(item="1"), ReturnedLine(item="1")), reason=WHY)
    assert "repeated_item" in [problem.code for problem in shop.refuses(twice).problems]


def test_units_that_were_sent_of_an_item_can_be_returned_before_the_rest_is() -> None:
    shop = Shop(poster=5).given(placed(line("1", "poster", 3)), PAID)
    shop.hear(ShipOrder(carrier="DHL", tracking="T", quantities={"1": 2}))
    assert shop.refuses(back(3)).code == "too_many_units"
    assert shop.hear(back(2)).stock("poster").on_hand == 4
    shop.hear(MarkDeliveredDelivery(reason=WHY))
    assert shop.hear(back(1)).stock("poster").on_hand == 5


ITEMS = st.sampled_from(["1", "2"])
SOME = st.sets(ITEMS, max_size=2).map(tuple)
MESSAGES = st.one_of(
    st.builds(lambda items, put: refund(*items, restock=put), SOME, st.none() | SOME),
    st.builds(back, st.integers(1, 3), ITEMS, resaleable=st.booleans()),
    st.builds(
        lambda item, units: ShipOrder(carrier="DHL", tracking="T", quantities={item: units}), ITEMS, st.integers(1, 2)
    ),
    st.builds(lambda units: AdjustStock(units=units or 1, reason=WHY), st.integers(-3, 3)),
    st.builds(lambda units: SetStock(on_hand=units, reason=WHY), st.integers(0, 9)),
    st.builds(lambda items: RevokeDelivery(items=tuple(items), reason=WHY), SOME),
    st.sampled_from([GrantAgainDelivery(reason=WHY), MarkDeliveredDelivery(reason=WHY), OrderCancelled(), PAID]),
    st.sampled_from([ShipOrder(carrier="DHL", tracking="T"), HoldDelivery(reason=WHY), ReleaseDelivery(reason=WHY)]),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["o-1", "o-2"]), MESSAGES), max_size=20))
def test_stock_is_never_oversold_and_put_back_exactly_once(steps: list[tuple[str, Message]]) -> None:
    """Two orders, each with two lines of the same SKU."""
    shop = Shop(poster=9)
    for order in ("o-1", "o-2"):
        shop.hear(placed(line("1", "poster", 3), line("2", "poster", 1)), order)
        shop.hear(PAID, order)
    for order, message in steps:
        shop.offer(message, POSTER if isinstance(message, AdjustStock | SetStock) else order)
        check(shop)


def check(shop: Shop) -> None:
    """Units on hand, sold and written off are all that were ever received; no unit is counted twice."""
    stock, sold = shop.stock("poster"), 0
    for order in ("o-1", "o-2"):
        delivery = shop.row(Delivery, order)
        assert delivery is not None
        for item in delivery.items:
            sold += item.units_held
            assert item.put_back + item.written_off + item.units_held == item.quantity, item
            assert item.returned <= item.quantity
            gone = item.quantity if item.status is ItemStatus.DELIVERED else item.sent
            assert item.left + gone <= item.quantity + item.taken_again, "all that was sent was taken from stock"
    assert stock.on_hand + sold + stock.written_off == stock.received
    assert stock.reserved == 0
