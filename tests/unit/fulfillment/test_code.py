"""Redemption codes: one per unit, taken from a pool that may run empty."""

from __future__ import annotations

from datetime import timedelta

from services.fulfillment.domain.operations import (
    POOL_EMPTY,
    CountCodes,
    GiveCodes,
    PoolStillLow,
    RecheckPools,
    ReturnCodes,
    SignDownload,
    StoreCodes,
    TakeCode,
)
from shared.contracts.checkout import OrderCancelled
from shared.contracts.codes import AddCodes, CodesImported, ConfigurePool, PoolLow, ProvideCode
from shared.contracts.delivery_work import GrantAgainDelivery, RevokeDelivery
from shared.contracts.fulfillment import (
    DeliveryCodesArrived,
    ItemDelivered,
    ItemFailed,
    ItemRevoked,
    ItemSettled,
    ItemWaiting,
    RedemptionCode,
)
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


def test_a_code_that_was_seen_stays_out_of_the_pool_when_it_is_granted_again_and_cancelled_meanwhile() -> None:
    shop = paid("key").answer(TakeCode, TakeCode.Done(("AB-12",)))
    shop.given(RevokeDelivery(reason="Misuse."), GrantAgainDelivery(reason="By mistake."), refund("1"))
    shop.answer(TakeCode, TakeCode.Done(("AB-12",)))
    assert shop.requested == []


def test_what_returns_to_the_pool_is_not_taken_again_meanwhile() -> None:
    """Else the call that takes would find the codes that are about to return, and the customer would get them."""
    shop = paid("key").given(RevokeDelivery(reason="Misuse.")).answer(TakeCode, TakeCode.Done(("AB-12",)))
    again = GrantAgainDelivery(reason="By mistake.")
    assert shop.refuses(again).code == "not_revoked_yet"
    shop.answer(ReturnCodes, ReturnCodes.Done())
    shop.hear(again)
    assert shop.operation(TakeCode)


def test_blank_codes_are_refused_and_duplicates_dropped() -> None:
    shop = Shop()

    assert shop.refuses(AddCodes(codes=("AAA", " ")), "acme/keys").code == "empty_code"
    assert shop.refuses(AddCodes(codes=("AAA",)), "keys").code == "wrong_key"
    shop.hear(AddCodes(codes=("AAA", " AAA", "BBB")), "acme/keys")
    assert shop.requested == [StoreCodes("acme/keys", ("AAA", "BBB"))]


def test_codes_for_an_unknown_order_are_not_refused() -> None:
    assert Shop().hear(DeliveryCodesArrived(pool="keys")).all.published == []


def test_a_unit_may_bring_several_codes() -> None:
    shop = Shop()
    shop.configure("key", RedemptionCode(pool="keys", per_unit=3))

    shop.given(placed(line("1", "key", 2)), PAID)

    assert shop.requested == [TakeCode("acme/keys", "o-1", "1", 6)]


# Staff type the codes


def provided(*codes: str, item: str = "1", execution: str | None = None) -> ProvideCode:
    return ProvideCode(item=item, execution=execution, codes=codes, reason="Bought elsewhere.")


def test_staff_give_an_item_that_waits_a_code_of_their_own() -> None:
    shop = paid("key").answer(TakeCode, EMPTY)

    shop.hear(provided(" OWN "))
    assert shop.published == [ItemSettled(item="1", outcome="delivered", reason="Bought elsewhere.")]
    assert shop.requested == [GiveCodes("acme/keys", "o-1", "1", ("OWN",))]
    assert shop.waiting() == ()

    assert shop.answer(GiveCodes, GiveCodes.Done()).published == [delivered(code="OWN")]
    assert shop.let_go_off(RecheckPools).requested == []


def test_a_failed_item_gets_a_code_by_hand() -> None:
    shop = paid("key").answer(TakeCode, TakeCode.Unresolved("no answer"))

    shop.hear(provided("OWN")).answer(GiveCodes, GiveCodes.Done())

    assert shop.published == [delivered(code="OWN")]
    assert not shop.item().in_doubt


def test_a_code_that_another_item_has_fails_the_item_and_says_so() -> None:
    shop = paid("key").answer(TakeCode, EMPTY).hear(provided("OWN"))

    shop.answer(GiveCodes, GiveCodes.Failed("already_given", "Another order has one of these codes."))

    assert shop.published == [
        ItemFailed(item="1", code="already_given", text="Another order has one of these codes.", under_way=0)
    ]
    assert shop.hear(provided("OTHER")).requested == [GiveCodes("acme/keys", "o-1", "1", ("OTHER",))]


def test_codes_of_staff_return_to_the_pool_when_the_order_was_cancelled_meanwhile() -> None:
    shop = paid("key").answer(TakeCode, EMPTY).hear(provided("OWN")).hear(OrderCancelled())

    assert shop.answer(GiveCodes, GiveCodes.Done()).requested == [ReturnCodes("acme/keys", "o-1", "1")]


def test_codes_by_hand_are_refused_where_they_do_not_apply() -> None:
    unpaid = Shop().hear(placed(line("1", "key"), line("2", "ebook")))
    assert unpaid.refuses(provided("A")).code == "not_paid"
    shop = paid("key", "ebook")
    assert shop.refuses(provided("A")).code == "under_way"
    assert shop.refuses(provided("A", item="2")).code == "not_a_code"
    assert shop.refuses(provided("A", item="9")).code == "unknown_item"
    assert shop.refuses(provided("A", execution="1/2")).code == "unknown_item"
    shop.answer(TakeCode, EMPTY)
    refused = shop.refuses(provided("A", "A", " "))
    assert [problem.code for problem in refused.problems] == ["empty_code", "repeated_code", "wrong_number"]
    shop.hear(provided("A")).answer(GiveCodes, GiveCodes.Done())
    assert shop.refuses(provided("A")).code == "already_delivered"
    shop.hear(refund("1"))
    assert shop.refuses(provided("A")).code == "item_revoked"
    shop.hear(OrderCancelled())
    assert shop.refuses(provided("A")).code == "order_cancelled"


# Few codes are left

DAY = timedelta(days=1)


def low(shop: Shop, left: int) -> list[PoolLow]:
    shop.answer(TakeCode, TakeCode.Done(("AAA",), left=left))
    return [event for event in shop.published if isinstance(event, PoolLow)]


def shop_with_mark() -> Shop:
    shop = Shop().hear(ConfigurePool(name="Game keys", low_water=10), "acme/keys")
    return shop.given(placed(line("1", "key")), PAID)


def test_staff_hear_once_that_a_pool_falls_below_its_mark() -> None:
    shop = shop_with_mark()

    assert low(shop, 9) == [PoolLow(pool="keys", name="Game keys", left=9, low_water=10, since=shop.at)]
    shop.hear(placed(line("1", "key")), "o-2").hear(PAID, "o-2")
    assert low(shop, 8) == []


def test_each_day_staff_hear_again_with_the_age_while_it_stays_low() -> None:
    shop = shop_with_mark()
    low(shop, 9)
    since = shop.at

    assert shop.let_go_off(PoolStillLow).requested == [CountCodes("acme/keys", 10)]
    shop.answer(CountCodes, CountCodes.Done(free=4))
    assert shop.published == [PoolLow(pool="keys", name="Game keys", left=4, low_water=10, since=since)]
    shop.hear(AddCodes(codes=("B",)), "acme/keys").answer(StoreCodes, StoreCodes.Done(added=90, left=10))
    assert shop.let_go_off(PoolStillLow).requested == []


def test_orders_that_wait_for_an_empty_pool_are_told_again_each_day_by_the_first() -> None:
    shop = Shop()
    for order in ("o-1", "o-2"):
        shop.hear(placed(line("1", "key")), order).hear(PAID, order).answer(TakeCode, EMPTY)
    assert shop.published == [ItemWaiting(item="1", code=POOL_EMPTY, text=EMPTY.text, under_way=0)]

    for days, age in ((1, "for a day"), (2, "for 2 days")):
        shop.let_go_off(PoolStillLow)
        text = f"The pool has been empty {age}, and orders wait for it (2). {EMPTY.text}"
        assert shop.published == [ItemWaiting(item="1", code=POOL_EMPTY, text=text, alert=True, under_way=0)], days


def test_codes_of_a_file_wake_orders_at_once() -> None:
    shop = paid("key").answer(TakeCode, EMPTY)

    shop.hear(CodesImported(added=1_000_000, left=0), "acme/keys")

    assert shop.requested == [TakeCode("acme/keys", "o-1", "1", 1)]


def test_a_recheck_without_success_puts_off_no_reminder() -> None:
    shop = Shop().given(placed(line("1", "key", 20)), PAID).answer(TakeCode, EMPTY)

    for _ in range(3):  # each day too few are added
        shop.at += timedelta(hours=20)
        shop.hear(CodesImported(added=5, left=1), "acme/keys").answer(TakeCode, EMPTY)

    shop.let_go_off(PoolStillLow)
    (told,) = [event for event in shop.published if isinstance(event, ItemWaiting)]
    assert told.alert and "orders wait for it (1)" in told.text
