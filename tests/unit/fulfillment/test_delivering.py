"""What happens to each kind of item once the order is paid."""

from __future__ import annotations

from datetime import timedelta

from services.fulfillment.domain.operations import (
    POOL_EMPTY,
    GrantAccess,
    LookForCodes,
    PutBackCodes,
    RevokeAccess,
    SignDownload,
    StoreCodes,
    TakeCode,
)
from services.fulfillment.domain.states import ItemStatus
from shared.contracts.fulfillment import (
    AddCodes,
    CourseAccess,
    DeliveryCodesArrived,
    Download,
    ItemDelivered,
    ItemFailed,
    ItemRetried,
    ItemRevocationFailed,
    ItemRevoked,
    ItemWaiting,
    RedemptionCode,
    RetryDelivery,
    Shipment,
    ShipOrder,
)
from shared.contracts.values import Instructions
from shared.core import Attempt, Event
from tests.unit.fulfillment.bench import CUSTOMER, Bench, line

LINK = "https://shop.example/downloads/t"
COURSE = CourseAccess(url="https://courses.example/access", enter="https://courses.example/c/1")
EMPTY = TakeCode.Failed(POOL_EMPTY, "no codes in pool keys: add some")


def shop() -> Bench:
    bench = Bench()
    bench.product("ebook", Download(file="book.pdf", expires_after=timedelta(days=2)))
    bench.product("key", RedemptionCode(pool="keys"))
    bench.product("course", COURSE)
    bench.product("poster", Shipment())
    return bench


def paid(*lines: str) -> Bench:
    """A paid order of these SKUs, numbered from 1."""
    bench = shop()
    bench.place(*(line(str(number), sku, shippable=sku == "poster") for number, sku in enumerate(lines, 1)))
    bench.pay()
    return bench


def left(events: list[Event]) -> list[int]:
    """How much each fact says is still under way."""
    return [event.under_way for event in events if hasattr(event, "under_way")]


def test_nothing_is_delivered_before_payment() -> None:
    bench = shop()
    bench.place(line("1", "ebook"), line("2", "poster"))

    assert bench.open == []
    assert bench.refusal(ShipOrder(carrier="DHL", tracking="1")).code == "not_paid"
    assert bench.refusal(RetryDelivery()).code == "nothing_to_retry"


# Downloads


def test_a_download_is_a_signed_link_that_expires() -> None:
    bench = paid("ebook")
    wanted = bench.wanted(SignDownload)
    assert (wanted.order, wanted.item) == ("o-1", "1")
    assert wanted.expires == bench.clock + timedelta(days=2)

    assert bench.answer(wanted, SignDownload.Done(LINK)) == [
        ItemDelivered(
            item="1",
            instructions=Instructions(kind="download", link=LINK, expires=wanted.expires),
            under_way=0,
        )
    ]


def test_a_refunded_download_is_dead_at_once() -> None:
    bench = paid("ebook")
    bench.answer(bench.wanted(SignDownload), SignDownload.Done(LINK))

    assert bench.refund("1") == [ItemRevoked(item="1")]
    assert bench.item("1").status is ItemStatus.REVOKED
    assert bench.refund("1") == []


def test_a_link_signed_after_the_cancel_is_told_to_nobody() -> None:
    bench = paid("ebook")
    assert bench.cancel() == [ItemRevoked(item="1")]

    assert bench.answer(bench.wanted(SignDownload), SignDownload.Done(LINK)) == []
    assert bench.item("1").instructions is None


# Codes


def test_a_code_per_unit() -> None:
    bench = shop()
    bench.place(line("1", "key", 2))
    bench.pay()
    wanted = bench.wanted(TakeCode)
    assert wanted == TakeCode("acme/keys", "o-1", "1", 2)

    (delivered,) = bench.answer(wanted, TakeCode.Done(("AAA", "BBB")))

    assert isinstance(delivered, ItemDelivered)
    assert delivered.instructions == Instructions(kind="code", code="AAA, BBB", codes=("AAA", "BBB"))


def test_many_codes_are_all_listed() -> None:
    bench = shop()
    bench.place(line("1", "key", 50))
    bench.pay()
    codes = tuple(f"CODE-{number:020}" for number in range(50))

    (delivered,) = bench.answer(bench.wanted(TakeCode), TakeCode.Done(codes))

    assert isinstance(delivered, ItemDelivered)
    assert delivered.instructions.code == "50 codes"
    assert delivered.instructions.codes == codes


def test_an_empty_pool_makes_the_item_wait_until_codes_come_in() -> None:
    bench = paid("key")

    (waiting,) = bench.answer(bench.wanted(TakeCode), EMPTY)
    assert waiting == ItemWaiting(item="1", code=POOL_EMPTY, text=EMPTY.text, under_way=0)
    assert bench.pool("keys").waiting == ("o-1",)

    bench.add_codes("keys", "AAA")
    assert bench.answer(bench.wanted(StoreCodes), StoreCodes.Done(added=1)) == []
    assert bench.pool("keys").waiting == ()
    (delivered,) = bench.answer(bench.wanted(TakeCode), TakeCode.Done(("AAA",)))
    assert isinstance(delivered, ItemDelivered)
    assert delivered.under_way == 0


def test_who_waits_looks_again_by_itself_and_says_nothing_new_while_there_is_none() -> None:
    bench = paid("key")
    bench.answer(bench.wanted(TakeCode), EMPTY)

    bench.say(bench.timers.pop(("o-1", "LookForCodes")))
    assert bench.answer(bench.wanted(TakeCode), EMPTY) == []
    bench.say(bench.timers.pop(("o-1", "LookForCodes")))
    (delivered,) = bench.answer(bench.wanted(TakeCode), TakeCode.Done(("AAA",)))

    assert isinstance(delivered, ItemDelivered)
    assert bench.pool("keys").waiting == ()


def test_as_many_orders_are_woken_as_codes_came_in() -> None:
    bench = shop()
    for order in ("o-1", "o-2", "o-3"):
        bench.place(line("1", "key"), key=order)
        bench.pay(order)
        bench.answer(bench.wanted(TakeCode), EMPTY)

    bench.add_codes("keys", "AAA", "BBB")
    bench.answer(bench.wanted(StoreCodes), StoreCodes.Done(added=2))

    assert [key for key, operation in bench.open if isinstance(operation, TakeCode)] == ["o-1", "o-2"]
    assert bench.pool("keys").waiting == ("o-3",)


def test_while_one_item_looks_for_a_code_the_others_are_not_held_up() -> None:
    bench = paid("key", "ebook")
    assert left(bench.answer(bench.wanted(TakeCode), EMPTY)) == [1]
    bench.say(LookForCodes())

    assert left(bench.answer(bench.wanted(SignDownload), SignDownload.Done(LINK))) == [0]
    assert left(bench.answer(bench.wanted(TakeCode), TakeCode.Done(("AAA",)))) == [0]


def test_an_order_with_two_waiting_items_stays_enrolled_until_both_have_codes() -> None:
    bench = paid("key", "key")
    bench.answer(bench.wanted(TakeCode, "1"), EMPTY)
    bench.answer(bench.wanted(TakeCode, "2"), EMPTY)
    assert bench.pool("keys").waiting == ("o-1",)
    bench.say(LookForCodes())

    bench.answer(bench.wanted(TakeCode, "1"), TakeCode.Done(("AAA",)))
    assert bench.pool("keys").waiting == ("o-1",)
    bench.answer(bench.wanted(TakeCode, "2"), TakeCode.Done(("BBB",)))
    assert bench.pool("keys").waiting == ()


def test_a_cancelled_order_waits_no_more() -> None:
    bench = paid("key")
    bench.answer(bench.wanted(TakeCode), EMPTY)

    assert bench.cancel() == [ItemRevoked(item="1")]
    assert bench.pool("keys").waiting == ()
    assert bench.timers == {}
    assert bench.heard(DeliveryCodesArrived(pool="keys")) == []
    assert bench.heard(LookForCodes()) == []
    assert bench.open == []


def test_a_code_taken_after_the_cancel_goes_back_unseen() -> None:
    bench = paid("key")
    bench.cancel()

    assert bench.answer(bench.wanted(TakeCode), TakeCode.Done(("AAA",))) == []
    assert bench.wanted(PutBackCodes) == PutBackCodes("acme/keys", "o-1", "1")
    assert bench.answer(bench.wanted(PutBackCodes), PutBackCodes.Done()) == []


def test_a_code_that_was_seen_is_only_marked() -> None:
    bench = paid("key")
    bench.answer(bench.wanted(TakeCode), TakeCode.Done(("AAA",)))

    assert bench.refund("1") == [ItemRevoked(item="1")]
    assert bench.open == []


def test_blank_codes_are_refused_and_doubles_dropped() -> None:
    bench = Bench()

    assert bench.refusal(AddCodes(codes=("AAA", " ")), "acme/keys").code == "empty_code"
    assert bench.refusal(AddCodes(codes=("AAA",)), "keys").code == "wrong_key"
    bench.add_codes("keys", "AAA", " AAA", "BBB")
    assert bench.wanted(StoreCodes).codes == ("AAA", "BBB")


# Courses


def test_a_course_is_granted_and_entered_where_the_product_says() -> None:
    bench = paid("course")
    wanted = bench.wanted(GrantAccess)
    assert wanted == GrantAccess(COURSE.url, "o-1", "1", "Course", 1, CUSTOMER)

    (delivered,) = bench.answer(wanted, GrantAccess.Done())

    assert isinstance(delivered, ItemDelivered)
    assert delivered.instructions == Instructions(kind="course", link=COURSE.enter)


def test_a_grant_that_fails_says_what_to_fix_and_is_retried_with_the_latest_configuration() -> None:
    bench = paid("course")
    tried = Attempt(at=bench.clock, error="courses.example answers 500")
    text = "courses.example answers 403: check the permission"

    (failed,) = bench.answer(bench.wanted(GrantAccess), GrantAccess.Failed("forbidden", text), tried)
    assert failed == ItemFailed(item="1", code="forbidden", text=text, attempts=(tried,), under_way=0)
    assert bench.item("1").attempts == (tried,)

    bench.product("course", CourseAccess(url="https://courses.example/new"))
    assert bench.heard(RetryDelivery()) == [ItemRetried(item="1")]
    assert bench.wanted(GrantAccess).url == "https://courses.example/new"
    (delivered,) = bench.answer(bench.wanted(GrantAccess), GrantAccess.Done())
    assert isinstance(delivered, ItemDelivered)


def test_a_refunded_course_is_revoked_and_so_said_once_it_is() -> None:
    bench = paid("course")
    bench.answer(bench.wanted(GrantAccess), GrantAccess.Done())

    assert bench.refund("1") == []
    assert bench.cancel() == []
    assert bench.answer(bench.wanted(RevokeAccess), RevokeAccess.Done()) == [ItemRevoked(item="1")]


def test_a_grant_that_succeeds_after_the_cancel_is_revoked_at_once() -> None:
    bench = paid("course")
    assert bench.cancel() == []

    assert bench.answer(bench.wanted(GrantAccess), GrantAccess.Done()) == []
    assert bench.answer(bench.wanted(RevokeAccess), RevokeAccess.Done()) == [ItemRevoked(item="1")]


def test_a_grant_that_fails_after_the_cancel_leaves_nothing_to_revoke() -> None:
    bench = paid("course")
    bench.cancel()

    assert bench.answer(bench.wanted(GrantAccess), GrantAccess.Failed("forbidden", "403")) == [ItemRevoked(item="1")]
    assert bench.open == []


def test_a_grant_of_unknown_outcome_is_revoked_to_be_safe() -> None:
    bench = paid("course")
    (failed,) = bench.answer(bench.wanted(GrantAccess), GrantAccess.Unresolved("time-out"))
    assert isinstance(failed, ItemFailed)
    assert failed.code == "unresolved"

    assert bench.cancel() == []
    assert bench.answer(bench.wanted(RevokeAccess), RevokeAccess.Done()) == [ItemRevoked(item="1")]


def test_a_revocation_that_fails_is_told_and_can_be_retried_although_the_order_is_cancelled() -> None:
    bench = paid("course")
    bench.answer(bench.wanted(GrantAccess), GrantAccess.Done())
    bench.cancel()

    (failed,) = bench.answer(bench.wanted(RevokeAccess), RevokeAccess.Failed("not_found", "404: check the URL"))
    assert failed == ItemRevocationFailed(item="1", code="not_found", text="404: check the URL")
    assert bench.heard(RetryDelivery(items=("1",))) == []
    assert bench.answer(bench.wanted(RevokeAccess), RevokeAccess.Done()) == [ItemRevoked(item="1")]


# Parcels


def test_a_shipment_waits_for_the_parcel() -> None:
    bench = shop()
    bench.place(line("1", "poster"), line("2", "poster"))

    assert [type(event) for event in bench.pay()] == [ItemWaiting, ItemWaiting]
    (first,) = bench.heard(ShipOrder(carrier="DHL", tracking="T1", items=("2",)))
    (second,) = bench.heard(ShipOrder(carrier="UPS", tracking="T2"))

    assert isinstance(first, ItemDelivered)
    assert isinstance(second, ItemDelivered)
    assert (first.item, second.item) == ("2", "1")
    assert second.instructions == Instructions(kind="shipment", carrier="UPS", tracking="T2")


def test_what_cannot_be_shipped_is_refused_with_every_reason() -> None:
    bench = paid("poster", "ebook")
    bench.heard(ShipOrder(carrier="DHL", tracking="T1"))

    refused = bench.refusal(ShipOrder(carrier="DHL", tracking="T2", items=("1", "2", "3")))

    assert [problem.code for problem in refused.problems] == ["already_shipped", "not_a_shipment", "unknown_item"]
    assert bench.refusal(ShipOrder(carrier="DHL", tracking="T2")).code == "nothing_to_ship"
    assert bench.refusal(ShipOrder(carrier="DHL", tracking="T2"), "o-9").code == "unknown_order"
    bench.cancel()
    assert bench.refusal(ShipOrder(carrier="DHL", tracking="T2")).code == "order_cancelled"


def test_a_refunded_parcel_is_not_sent() -> None:
    bench = paid("poster")
    assert bench.refund("1") == [ItemRevoked(item="1")]

    assert bench.refusal(ShipOrder(carrier="DHL", tracking="T", items=("1",))).code == "item_revoked"


# Products that nobody configured


def test_what_is_shippable_is_shipped_and_the_rest_fails_saying_what_to_do() -> None:
    bench = Bench()
    bench.place(line("1", "mug", shippable=True), line("2", "sticker"))

    waiting, failed = bench.pay()

    assert isinstance(waiting, ItemWaiting)
    assert isinstance(failed, ItemFailed)
    assert failed.text == "no delivery configured for SKU sticker: configure it and retry"
    bench.product("sticker", Download(file="sticker.svg"))
    assert bench.heard(RetryDelivery()) == [ItemRetried(item="2")]
    bench.wanted(SignDownload)


def test_a_product_configured_between_placing_and_paying_counts() -> None:
    bench = Bench()
    bench.place(line("1", "sticker"))
    bench.product("sticker", Download(file="sticker.svg"))

    assert bench.pay() == []
    bench.wanted(SignDownload)


def test_what_was_bought_is_what_is_delivered_whatever_the_product_becomes() -> None:
    bench = shop()
    bench.place(line("1", "ebook"))
    bench.product("ebook", Shipment())
    bench.pay()

    bench.wanted(SignDownload)


# Retries


def test_a_waiting_code_can_be_retried_from_another_pool() -> None:
    bench = paid("key")
    bench.answer(bench.wanted(TakeCode), EMPTY)
    bench.product("key", RedemptionCode(pool="spare"))

    assert bench.heard(RetryDelivery()) == [ItemRetried(item="1")]
    assert bench.pool("keys").waiting == ()
    assert bench.wanted(TakeCode).pool == "acme/spare"
    assert bench.refusal(RetryDelivery()).code == "nothing_to_retry"


def test_what_needs_no_retry_is_refused_by_name() -> None:
    bench = paid("ebook", "poster")

    refused = bench.refusal(RetryDelivery(items=("1", "2", "7")))

    assert [problem.code for problem in refused.problems] == ["nothing_to_retry", "nothing_to_retry", "unknown_item"]
    assert bench.refusal(RetryDelivery(), "o-9").code == "unknown_order"


# When the customer can be told: the last fact says that nothing is under way


def test_the_last_of_several_items_says_that_nothing_more_is_under_way() -> None:
    bench = shop()
    bench.place(line("1", "ebook"), line("2", "course"), line("3", "poster"))

    assert left(bench.pay()) == [2]
    assert left(bench.answer(bench.wanted(SignDownload), SignDownload.Done(LINK))) == [1]
    assert left(bench.answer(bench.wanted(GrantAccess), GrantAccess.Failed("x", "x"))) == [0]
    assert left(bench.heard(ShipOrder(carrier="DHL", tracking="T"))) == [0]


def test_items_of_one_parcel_count_down() -> None:
    bench = paid("poster", "poster", "poster")

    assert left(bench.heard(ShipOrder(carrier="DHL", tracking="T"))) == [2, 1, 0]


def test_a_refund_of_the_last_item_under_way_says_so() -> None:
    bench = paid("ebook", "key")
    assert left(bench.answer(bench.wanted(SignDownload), SignDownload.Done(LINK))) == [1]

    assert left(bench.refund("2")) == [0]


def test_a_signing_that_fails_is_told() -> None:
    bench = paid("ebook")

    (failed,) = bench.answer(bench.wanted(SignDownload), SignDownload.Failed("not_configured", "set the secret"))

    assert isinstance(failed, ItemFailed)
    assert failed.text == "set the secret"
