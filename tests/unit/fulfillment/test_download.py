"""Downloads: a signed link, dead once its item is revoked."""

from __future__ import annotations

from datetime import timedelta

from services.fulfillment.domain.delivery import ItemStatus
from services.fulfillment.domain.operations import SignDownload
from shared.contracts.checkout import OrderCancelled
from shared.contracts.fulfillment import ItemDelivered, ItemFailed, ItemRevoked
from shared.contracts.values import Instructions
from tests.unit.fulfillment.examples import LINK, paid, refund


def test_a_download_is_a_signed_link_that_expires() -> None:
    shop = paid("ebook")
    expires = shop.at + timedelta(days=2)
    assert shop.requested == [SignDownload("o-1", "1", expires)]

    shop.answer(SignDownload, SignDownload.Done(LINK))

    instructions = Instructions(kind="download", link=LINK, expires=expires)
    assert shop.published == [ItemDelivered(item="1", instructions=instructions, under_way=0)]


def test_a_refunded_download_is_dead_at_once() -> None:
    shop = paid("ebook").answer(SignDownload, SignDownload.Done(LINK))

    assert shop.hear(refund("1")).published == [ItemRevoked(item="1")]
    assert shop.item().status is ItemStatus.REVOKED
    assert shop.hear(refund("1")).published == []


def test_a_link_signed_after_the_cancellation_is_not_published() -> None:
    shop = paid("ebook")
    assert shop.hear(OrderCancelled()).published == [ItemRevoked(item="1")]

    assert shop.answer(SignDownload, SignDownload.Done(LINK)).published == []
    assert shop.item().instructions is None


def test_a_link_that_cannot_be_signed_fails_the_item() -> None:
    shop = paid("ebook")

    shop.answer(SignDownload, SignDownload.Failed("not_configured", "Set the secret."))

    assert shop.published == [ItemFailed(item="1", code="not_configured", text="Set the secret.")]
