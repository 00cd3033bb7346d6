"""Links that have expired, made again by staff: the customer is sent the new ones."""

from __future__ import annotations

from datetime import timedelta

import pytest

from services.fulfillment.domain.file_operations import SignFile
from services.fulfillment.domain.operations import SignDownload
from shared.contracts.checkout import OrderCancelled
from shared.contracts.delivery_work import (
    AttachDelivery,
    DeliveryNoted,
    DeliveryResent,
    HoldDelivery,
    MarkDeliveredDelivery,
    RenewDownload,
    ResentItem,
    RevokeDelivery,
)
from shared.contracts.values import Instructions
from tests.unit.fulfillment.examples import LINK, PAID, Shop, line, paid, placed, refund

RENEW = RenewDownload(item="1", reason="Ada was on holiday.")
NEW = "https://shop.example/downloads/new"
FILE = AttachDelivery(item="1", file=".orders/o-1/abc", note="Print it.", notify=False, reason="Made.")


def delivered() -> Shop:
    return paid("ebook").answer(SignDownload, SignDownload.Done(LINK))


def test_the_customer_is_sent_a_new_link_with_its_whole_time() -> None:
    shop = delivered().hear(RENEW)
    assert shop.published == [DeliveryNoted(action="resent", items=("1",), text="Ada was on holiday.")]
    (sign,) = shop.requested
    assert sign == SignDownload("o-1", "1", shop.at + timedelta(days=2))

    shop.answer(SignDownload, SignDownload.Done(NEW))

    told = Instructions(kind="download", link=NEW, expires=sign.expires)
    assert shop.published == [DeliveryResent(items=(ResentItem(item="1", instructions=told),))]
    assert shop.item().instructions == told


def test_an_attached_file_is_renewed_by_its_name_or_with_all_of_the_item() -> None:
    shop = delivered().hear(FILE).hear(RENEW.model_copy(update={"file": FILE.file}))
    assert [type(one) for one in shop.requested] == [SignFile]
    assert [type(one) for one in shop.hear(RENEW).requested] == [SignDownload, SignFile]
    waiting = paid("poster").hear(FILE).hear(RENEW)
    assert [type(one) for one in waiting.requested] == [SignFile], "it works before the item is delivered"


@pytest.mark.parametrize(
    ("shop", "command", "code"),
    [
        (Shop().given(placed(line("1", "ebook"))), RENEW, "not_paid"),
        (Shop().given(placed(line("1", "ebook")), HoldDelivery(reason="Odd."), PAID), RENEW, "held"),
        (Shop().given(placed(line("1", "ebook")), OrderCancelled()), RENEW, "order_cancelled"),
        (delivered(), RENEW.model_copy(update={"item": "7"}), "unknown_item"),
        (delivered().hear(refund("1")), RENEW, "item_revoked"),
        (delivered().hear(RevokeDelivery(reason="Shared.")), RENEW, "item_revoked"),
        (paid("ebook"), RENEW, "nothing_to_renew"),
        (paid("poster"), RENEW, "nothing_to_renew"),
        (delivered(), RENEW.model_copy(update={"file": "its.pdf"}), "nothing_to_renew"),
    ],
)
def test_it_is_refused_where_the_customer_has_no_such_download(shop: Shop, command: RenewDownload, code: str) -> None:
    assert shop.refuses(command).code == code
    assert shop.requested == []


def test_what_staff_gave_by_hand_is_replaced_by_no_link() -> None:
    shop = paid("ebook").answer(SignDownload, SignDownload.Failed("no_file", "It is gone."))
    shop.hear(MarkDeliveredDelivery(codes=("BOOK-1",), reason="By hand."))
    assert shop.refuses(RENEW).code == "nothing_to_renew"
