"""Files that staff attach to an item: a link of their own, revoked with the item."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from services.fulfillment.domain.delivery import AttachedFile, Item, ItemStatus
from services.fulfillment.domain.file_operations import SignFile
from services.fulfillment.domain.operations import SignDownload
from services.fulfillment.downloads import WantedFile, wanted_file
from services.fulfillment.gateways.links import BadLink, Claim, Links
from shared.contracts.delivery_work import AttachDelivery, DeliveryNoted, DeliveryResent, ResendDelivery, ResentItem
from shared.contracts.values import Instructions
from tests.unit.fulfillment.examples import LINK, Shop, line, paid, placed, refund

FILE = ".orders/o-1/abc"
ATTACH = AttachDelivery(
    item="1", file=FILE, file_name="Portrait.pdf", note="Print it.", expires_after=timedelta(days=2), reason="Made."
)


def given(link: str, expires: datetime) -> ResentItem:
    return ResentItem(
        item="1", instructions=Instructions(kind="download", link=link, expires=expires, note="Print it.")
    )


def test_the_customer_gets_a_link_to_the_file_and_staff_see_it_in_the_timeline() -> None:
    shop = paid("poster").hear(ATTACH)
    assert shop.published == [DeliveryNoted(action="attached", items=("1",), text="Made.")]
    (sign,) = shop.requested
    assert sign == SignFile("o-1", "1", FILE, shop.at + timedelta(days=2))

    shop.answer(SignFile, SignFile.Done(LINK))

    assert shop.published == [DeliveryResent(items=(given(LINK, sign.expires),))]
    assert shop.item().files == (AttachedFile(FILE, "Portrait.pdf", "Print it.", timedelta(days=2)),)
    assert shop.item().status is ItemStatus.WAITING_PARCEL, "it is in addition"


def test_quietly_attached_files_come_with_the_next_resending_with_new_links() -> None:
    shop = paid("ebook").answer(SignDownload, SignDownload.Done(LINK))
    shop.hear(ATTACH.model_copy(update={"notify": False}))
    assert shop.requested == []

    shop.hear(ResendDelivery(reason="Lost."))

    assert [type(one) for one in shop.requested] == [SignDownload, SignFile]
    shop.answer(SignFile, SignFile.Done(LINK))
    assert [event for event in shop.published if isinstance(event, DeliveryResent)]


def test_a_link_that_is_made_after_the_item_was_refunded_is_not_published() -> None:
    shop = paid("poster").hear(ATTACH).hear(refund("1"))
    shop.answer(SignFile, SignFile.Done(LINK))
    assert shop.published == []
    assert wanted_file(shop.item(), FILE) is None


def test_a_file_replaces_itself_and_counts_among_the_attachments() -> None:
    shop = paid("poster").hear(ATTACH).hear(ATTACH.model_copy(update={"file_name": "Better.pdf"}))
    assert [file.name for file in shop.item().files] == ["Better.pdf"]
    for number in range(19):
        shop.hear(ATTACH.model_copy(update={"file": f"bonus-{number}.pdf"}))
    assert shop.refuses(AttachDelivery(item="1", note="x", reason="Made.")).code == "too_many"


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"file": ".orders/o-2/abc"}, "wrong_file"),
        ({"file": ".orders/o-1/../o-2/abc"}, "wrong_file"),
        ({"file": "x/../.orders/o-2/abc"}, "wrong_file"),
        ({"link": "https://acme.example/x"}, "link_and_file"),
        ({"item": "7"}, "unknown_item"),
    ],
)
def test_what_cannot_be_attached(changed: dict[str, str], code: str) -> None:
    assert paid("poster").refuses(ATTACH.model_copy(update=changed)).code == code


def test_nothing_is_attached_before_the_order_is_paid() -> None:
    assert Shop().given(placed(line("1", "poster"))).refuses(ATTACH).code == "not_paid"


def test_links_say_which_file_and_those_of_before_say_none() -> None:
    links, expires = Links("a-secret-for-this-test", "https://shop.example"), datetime(2026, 1, 2, tzinfo=UTC)
    for claim in (Claim("o-1", "1", expires), Claim("o-1", "1", expires, FILE)):
        assert links.read(links.url(claim).rpartition("/")[2]) == claim
    with pytest.raises(BadLink):
        links.read(links.url(claim).rpartition("/")[2][:-3])


def test_an_attached_file_may_be_had_as_long_as_the_item_is_not_revoked() -> None:
    item = Item("1", "poster", "Poster", 1, status=ItemStatus.WAITING_PARCEL, files=(AttachedFile(FILE, "P.pdf"),))
    assert wanted_file(item, FILE) == WantedFile(FILE, "P.pdf", timedelta(days=7))
    assert wanted_file(item, "other") is None
    assert wanted_file(item, "") is None, "what was bought is not delivered"
