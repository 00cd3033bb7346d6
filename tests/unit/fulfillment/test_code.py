"""Redemption codes: one per unit, taken from a pool that may run empty."""

from __future__ import annotations

from services.fulfillment.domain.operations import (
    POOL_EMPTY,
    RecheckPools,
    ReturnCodes,
    SignDownload,
    StoreCodes,
    TakeCode,
)
from shared.contracts.checkout import OrderCancelled
from shared.contracts.fulfillment import AddCodes, DeliveryCodesArrived, ItemDelivered, ItemRevoked, ItemWaiting
from shared.contracts.values import Instructions
from tests.unit.fulfillment.examples import EMPTY, LINK, PAID, Shop, line, paid, placed, refund

ONE = TakeCode.Done(("AAA",))


def delivered(*codes: str, code: str) -> ItemDelivered:
    return ItemDelivered(item="1", instructions=Instructions(kind="code", code=code, codes=codes), under_way=0)


def test_a_code_per_unit() -> None:
    shop = Shop().given(placed(line("1", "key", 2)), PAID)
    assert shop.requested == [TakeCode("acme/keys", "o-1", "1", 2)]

    shop.answer(TakeCode, TakeCode.Done(("AAA", "BBB")))

    assert shop.published == [delivered("AAA", "BBB", code="AAA, BBB")]


def test_many_codes_are_all_listed() -> None:
    shop = Shop().given(placed(line("1", "key", 50)), PAID)
    codes = tuple(f"CODE-{number:020}" for number in range(50))

    assert shop.answer(TakeCode, TakeCode.Done(codes)).published == [delivered(*codes, code="50 codes")]


def test_an_empty_pool_makes_the_item_wait_until_codes_are_added() -> None:
    shop = paid("key").answer(TakeCode, EMPTY)
    assert shop.published == [ItemWaiting(item="1", code=POOL_EMPTY, text=EMPTY.text, alert=True, under_way=0)]
    assert shop.waiting() == ("o-1",)

    shop.hear(AddCodes(codes=("AAA",)), "acme/keys").answer(StoreCodes, StoreCodes.Done(added=1))
    assert shop.published == []
    assert shop.waiting() == ()
    assert shop.answer(TakeCode, ONE).published == [delivered(code="AAA")]


def test_an_order_that_waits_rechecks_the_pool_and_publishes_nothing_while_it_is_empty() -> None:
    shop = paid("key").answer(TakeCode, EMPTY)

    shop.let_go_off(RecheckPools)
    assert shop.answer(TakeCode, EMPTY).published == []
    shop.let_go_off(RecheckPools)
    assert shop.answer(TakeCode, ONE).published == [delivered(code="AAA")]
    assert shop.waiting() == ()


def test_as_many_orders_are_woken_as_codes_were_added() -> None:
    shop = Shop()
    for order in ("o-1", "o-2", "o-3"):
        shop.hear(placed(line("1", "key")), order).hear(PAID, order).answer(TakeCode, EMPTY)

    shop.hear(AddCodes(codes=("AAA", "BBB")), "acme/keys").answer(StoreCodes, StoreCodes.Done(added=2))

    assert [key for key, operation in shop.open if isinstance(operation, TakeCode)] == ["o-1", "o-2"]
    assert shop.waiting() == ("o-3",)


def test_while_one_item_rechecks_its_pool_the_others_are_not_held_up() -> None:
    shop = paid("key", "ebook")
    assert shop.answer(TakeCode, EMPTY).in_progress() == [1]
    shop.hear(RecheckPools())

    assert shop.answer(SignDownload, SignDownload.Done(LINK)).in_progress() == [0]
    assert shop.answer(TakeCode, ONE).in_progress() == [0]


def test_an_order_with_two_waiting_items_stays_queued_until_both_have_codes() -> None:
    shop = paid("key", "key")
    for item in ("1", "2"):
        shop.answer(shop.operation(TakeCode, item=item), EMPTY)
    assert shop.waiting() == ("o-1",)
    shop.hear(RecheckPools())

    shop.answer(shop.operation(TakeCode, item="1"), ONE)
    assert shop.waiting() == ("o-1",)
    shop.answer(TakeCode, TakeCode.Done(("BBB",)))
    assert shop.waiting() == ()


def test_a_cancelled_order_waits_no_more() -> None:
    shop = paid("key").answer(TakeCode, EMPTY)

    assert shop.hear(OrderCancelled()).published == [ItemRevoked(item="1")]
    assert shop.waiting() == ()
    assert shop.pending == {}
    assert shop.hear(DeliveryCodesArrived(pool="keys")).published == []
    assert shop.hear(RecheckPools()).published == []
    assert shop.open == []


def test_a_code_taken_after_the_cancellation_is_returned_unseen() -> None:
    shop = paid("key").given(OrderCancelled())

    shop.answer(TakeCode, ONE)

    assert shop.published == []
    assert shop.requested == [ReturnCodes("acme/keys", "o-1", "1")]
    assert shop.answer(ReturnCodes, ReturnCodes.Done()).published == []


def test_a_code_that_was_seen_is_only_marked() -> None:
    shop = paid("key").answer(TakeCode, ONE)

    assert shop.hear(refund("1")).published == [ItemRevoked(item="1")]
    assert shop.open == []


def test_blank_codes_are_refused_and_duplicates_dropped() -> None:
    shop = Shop()

    assert shop.refuses(AddCodes(codes=("AAA", " ")), "acme/keys").code == "empty_code"
    assert shop.refuses(AddCodes(codes=("AAA",)), "keys").code == "wrong_key"
    shop.hear(AddCodes(codes=("AAA", " AAA", "BBB")), "acme/keys")
    assert shop.requested == [StoreCodes("acme/keys", ("AAA", "BBB"))]


def test_codes_for_an_unknown_order_are_not_refused() -> None:
    assert Shop().hear(DeliveryCodesArrived(pool="keys")).all.published == []
