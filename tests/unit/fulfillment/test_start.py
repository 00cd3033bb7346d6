"""What is started once the order is paid, and how much of it is still in progress."""

from __future__ import annotations

from datetime import timedelta

from services.fulfillment.domain.operations import GrantAccess, SignDownload
from services.fulfillment.domain.product import MAX_HISTORY, Configuration, Product, ProductHistory
from shared.contracts.fulfillment import (
    ConfigureProduct,
    Download,
    ItemRetried,
    ItemWaiting,
    RetryDelivery,
    Shipment,
    ShipOrder,
)
from tests.unit.fulfillment.examples import LINK, PAID, Shop, line, paid, placed, refund

STICKER = Download(file="sticker.svg")


def test_nothing_is_delivered_before_payment() -> None:
    shop = Shop().given(placed(line("1", "ebook"), line("2", "poster")))

    assert shop.open == []
    assert shop.refuses(ShipOrder(carrier="DHL", tracking="1")).code == "not_paid"
    assert shop.refuses(RetryDelivery()).code == "nothing_to_retry"


def test_without_a_configuration_what_is_shippable_is_shipped_and_the_rest_waits_for_staff() -> None:
    shop = Shop().given(placed(line("1", "mug", shippable=True), line("2", "sticker")), PAID)

    assert [type(event) for event in shop.published] == [ItemWaiting, ItemWaiting]
    waits = shop.last.of(ItemWaiting)[1]
    assert waits.code == "not_configured"
    assert waits.text == "No delivery is configured for SKU sticker. Configure the product, then retry the order."
    shop.configure("sticker", STICKER)
    assert shop.hear(RetryDelivery()).published == [ItemRetried(item="2", configuration=1)]
    assert [type(operation) for operation in shop.requested] == [SignDownload]


def test_a_product_configured_between_placing_and_paying_counts() -> None:
    shop = Shop().given(placed(line("1", "sticker")))
    shop.configure("sticker", STICKER)

    assert shop.hear(PAID).published == []
    assert [type(operation) for operation in shop.requested] == [SignDownload]


def test_what_was_bought_is_what_is_delivered_even_if_the_product_changes() -> None:
    shop = Shop().given(placed(line("1", "ebook")))
    shop.configure("ebook", Shipment())

    assert [type(operation) for operation in shop.hear(PAID).requested] == [SignDownload]


def test_the_last_of_several_items_says_that_nothing_more_is_in_progress() -> None:
    shop = Shop().given(placed(line("1", "ebook"), line("2", "course"), line("3", "poster")))

    assert shop.hear(PAID).in_progress() == [2]
    assert shop.answer(SignDownload, SignDownload.Done(LINK)).in_progress() == [1]
    assert shop.answer(GrantAccess, GrantAccess.Failed("x", "x")).in_progress() == [0]
    assert shop.hear(ShipOrder(carrier="DHL", tracking="T")).in_progress() == [0]


def test_a_refund_of_the_last_item_in_progress_says_so() -> None:
    shop = paid("ebook", "key")
    assert shop.answer(SignDownload, SignDownload.Done(LINK)).in_progress() == [1]

    assert shop.hear(refund("2")).in_progress() == [0]


def test_each_change_of_a_product_is_a_version_with_its_time_and_author() -> None:
    shop = Shop()
    shop.hear(ConfigureProduct(action=STICKER), "acme/sticker", actor="staff:ada")
    shop.hear(ConfigureProduct(action=STICKER), "acme/sticker", actor="staff:bob")
    shop.let_time_pass(timedelta(days=1))
    shop.hear(ConfigureProduct(action=STICKER, track_stock=True), "acme/sticker", actor="staff:bob")

    assert shop.row(Product, "acme/sticker") == Product(STICKER, track_stock=True, version=2)
    first, second = history_of(shop)
    assert (first.version, first.actor, first.track_stock) == (1, "staff:ada", False)
    assert (second.version, second.actor, second.track_stock) == (2, "staff:bob", True)
    assert first.at is not None
    assert second.at is not None
    assert (second.at - first.at).days == 1
    for number in range(MAX_HISTORY):
        shop.hear(ConfigureProduct(action=Download(file=f"{number}.svg")), "acme/sticker")
    assert [one.version for one in history_of(shop)] == [*range(3, MAX_HISTORY + 3)]


def test_the_history_begins_with_what_an_earlier_build_configured() -> None:
    """Orders of that time keep it, as version 0."""
    shop = Shop()
    shop.put(Product, "acme/sticker", Product(STICKER, track_stock=True))
    shop.hear(ConfigureProduct(action=Download(file="1.svg"), further=(STICKER,)), "acme/sticker", actor="staff:ada")
    shop.hear(ConfigureProduct(action=STICKER), "acme/sticker", actor="staff:ada")

    earlier, first, second = history_of(shop)
    assert earlier == Configuration(0, track_stock=True, at=None, actor=None, action=STICKER)
    assert [(one.version, one.actor) for one in (first, second)] == [(1, "staff:ada"), (2, "staff:ada")]


def history_of(shop: Shop) -> tuple[Configuration, ...]:
    history = shop.row(ProductHistory, "acme/sticker")
    assert history is not None
    return history.configurations
