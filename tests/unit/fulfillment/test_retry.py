"""Retries of deliveries. Those of revocations are in test_course.py, corrected URLs in test_correction.py."""

from __future__ import annotations

from services.fulfillment.domain.delivery import Item, ItemStatus
from services.fulfillment.domain.keys import row_key
from services.fulfillment.domain.operations import GrantAccess, RevokeAccess, SignDownload, TakeCode
from services.fulfillment.domain.product import Product
from services.fulfillment.domain.retry import RetriedItem, RetryPreview, retry_preview
from shared.contracts.checkout import OrderCancelled
from shared.contracts.fulfillment import Download, ItemRetried, ItemRevoked, RedemptionCode, RetryDelivery
from tests.unit.fulfillment.examples import EMPTY, PAID, Shop, line, paid, placed


def test_a_waiting_code_can_be_retried_from_another_pool() -> None:
    shop = paid("key").answer(TakeCode, EMPTY)
    shop.configure("key", RedemptionCode(pool="spare"))

    assert shop.hear(RetryDelivery()).published == [ItemRetried(item="1")]
    assert shop.operation(TakeCode).pool == "acme/keys", "as it was bought"
    shop.answer(TakeCode, EMPTY)
    assert shop.hear(RetryDelivery(latest=True)).published == [ItemRetried(item="1", configuration=2)]
    assert shop.waiting() == ()
    assert shop.operation(TakeCode).pool == "acme/spare"
    assert shop.refuses(RetryDelivery()).code == "nothing_to_retry"


def test_what_needs_no_retry_is_refused_by_name() -> None:
    shop = paid("ebook", "poster")

    refused = shop.refuses(RetryDelivery(items=("1", "2", "7")))

    assert [problem.code for problem in refused.problems] == ["nothing_to_retry", "nothing_to_retry", "unknown_item"]
    assert shop.refuses(RetryDelivery(), "o-9").code == "unknown_order"


def test_the_latest_configuration_stays_until_the_latest_is_asked_for_again() -> None:
    shop = paid("ebook").answer(SignDownload, SignDownload.Failed("broken", "It is broken."))
    for version, file in enumerate(("second.pdf", "third.pdf"), 2):
        shop.configure("ebook", Download(file=file))
        assert shop.hear(RetryDelivery(latest=True)).published == [ItemRetried(item="1", configuration=version)]
        shop.answer(SignDownload, SignDownload.Failed("broken", "It is broken."))
    shop.configure("ebook", Download(file="fourth.pdf"))

    shop.hear(RetryDelivery())

    assert (shop.item().version, shop.item().action) == (3, Download(file="third.pdf"))


def test_a_parcel_that_is_not_sent_yet_can_become_a_download() -> None:
    shop = paid("poster")
    assert shop.refuses(RetryDelivery(latest=True)).code == "nothing_to_retry", "its product has not changed"
    shop.configure("poster", Download(file="poster.pdf"))

    assert shop.hear(RetryDelivery(latest=True)).published == [ItemRetried(item="1", configuration=2)]

    assert [type(operation) for operation in shop.requested] == [SignDownload]


def test_what_waits_for_a_configuration_is_delivered_once_it_is_there_and_ends_with_its_order() -> None:
    shop = Shop().given(placed(line("1", "sticker")), PAID)
    assert shop.refuses(RetryDelivery(items=("1",))).problems[0].code == "not_configured"
    assert shop.refuses(RetryDelivery()).code == "nothing_to_retry"

    assert shop.hear(OrderCancelled()).published == [ItemRevoked(item="1")]

    assert shop.item().status is ItemStatus.REVOKED


def previewed(shop: Shop, command: RetryDelivery) -> RetryPreview:
    def latest(item: Item) -> Product | None:
        return shop.row(Product, row_key("acme", item.sku))

    found = retry_preview(shop.state, command, latest)
    assert isinstance(found, RetryPreview), found
    return found


def test_a_preview_says_what_the_retry_then_does() -> None:
    shop = paid("key", "sticker", "ebook").answer(TakeCode, EMPTY)
    shop.answer(SignDownload, SignDownload.Failed("broken", "It is broken."))
    shop.configure("key", RedemptionCode(pool="spare"))
    shop.configure("sticker", Download(file="sticker.svg"))
    latest = RetryDelivery(latest=True)

    assert previewed(shop, latest).items == (
        RetriedItem("1", "Key", "code", 1, "code", 2, revokes=False),
        RetriedItem("2", "Sticker", "", 0, "download", 1, revokes=False),
        RetriedItem("3", "Ebook", "download", 1, "download", 1, revokes=False),
    )
    assert [item.version_after for item in previewed(shop, RetryDelivery()).items] == [1, 1, 1]

    shop.hear(latest)

    assert [event.configuration for event in shop.last.of(ItemRetried)] == [2, 1, None]
    assert [item.version for item in shop.state.items] == [2, 1, 1]


def test_a_preview_names_access_that_is_revoked_again() -> None:
    shop = paid("course").answer(GrantAccess, GrantAccess.Done()).given(OrderCancelled())
    shop.answer(RevokeAccess, RevokeAccess.Failed("gave_up", "500"))
    assert previewed(shop, RetryDelivery()).items == (
        RetriedItem("1", "Course", "course", 1, "course", 1, revokes=True),
    )
