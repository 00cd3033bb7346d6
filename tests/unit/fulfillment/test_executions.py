"""Several executions: further actions of a product, of the order's offer, and of every order."""

from __future__ import annotations

from datetime import timedelta

import pytest

from services.fulfillment.domain.delivery import ItemStatus
from services.fulfillment.domain.keys import EVERY_ORDER, offer_name, row_key
from services.fulfillment.domain.operations import GrantAccess, RevokeAccess, SignDownload, TakeCode
from services.fulfillment.domain.product import Product
from services.fulfillment.domain.retry import RetryPreview, retry_preview
from services.fulfillment.domain.stock import Stock
from shared.contracts.checkout import OrderCancelled
from shared.contracts.delivery_work import RevokeDelivery
from shared.contracts.fulfillment import (
    Action,
    ConfigureExtras,
    ConfigureOffer,
    ConfigureProduct,
    CourseAccess,
    Download,
    ItemDelivered,
    ItemFailed,
    ItemProgressed,
    ItemRetried,
    ItemRevoked,
    ItemWaiting,
    ManualTask,
    RedemptionCode,
    RetryDelivery,
    SettleDelivery,
    Shipment,
    ShipOrder,
)
from shared.contracts.values import Instructions
from tests.unit.fulfillment.examples import CORRECTED, COURSE, EMPTY, LINK, PAID, Shop, line, placed, refund

BOOK = Download(file="book.pdf", expires_after=timedelta(days=2))
GUIDE = Download(file="guide.pdf", expires_after=timedelta(days=2))
FAILED = SignDownload.Failed("broken", "It is broken.")


def bundle(*actions: Action, quantity: int = 1) -> Shop:
    """A paid order of one product with these actions."""
    shop = Shop()
    first, *further = actions
    shop.hear(ConfigureProduct(action=first, further=tuple(further)), row_key("acme", "bundle"))
    return shop.given(placed(line("1", "bundle", quantity)), PAID)


def with_extras(*skus: str, offer: str | None = "gold") -> Shop:
    """A paid order of a shop whose offer gives a course and a code, and every order a guide."""
    shop = Shop()
    offered = ConfigureOffer(name="Gold members", actions=(COURSE, RedemptionCode(pool="keys")))
    shop.hear(offered, row_key("acme", offer_name("gold")))
    shop.hear(ConfigureExtras(name="House guide", actions=(GUIDE,)), row_key("acme", EVERY_ORDER))
    lines = (line(str(number), sku) for number, sku in enumerate(skus, 1))
    return shop.given(placed(*lines).model_copy(update={"offer": offer}), PAID)


def statuses(shop: Shop) -> dict[str, str]:
    return {item.id: item.status.value for item in shop.state.items}


def test_an_item_is_delivered_when_all_of_its_actions_are_done() -> None:
    shop = bundle(BOOK, COURSE, RedemptionCode(pool="keys"))
    assert statuses(shop) == {"1": "in_progress", "1/2": "in_progress", "1/3": "in_progress"}
    assert [operation.item for operation in shop.last.of(GrantAccess)] == ["1/2"]

    shop.answer(SignDownload, SignDownload.Done(LINK))
    (progressed,) = shop.last.of(ItemProgressed)
    assert (progressed.item, progressed.status, progressed.under_way) == ("1", "pending", 2)
    assert progressed.instructions == shop.item("1").instructions
    shop.answer(TakeCode, TakeCode.Done(("A-1",)))
    shop.answer(GrantAccess, GrantAccess.Done())

    instructions = Instructions(kind="course", link=COURSE.enter)
    assert shop.published == [ItemDelivered(item="1", instructions=instructions, under_way=0, execution="1/2")]


def test_an_action_that_is_done_tells_what_the_others_of_its_item_wait_for() -> None:
    shop = bundle(BOOK, COURSE, Shipment())
    assert shop.last.of(ItemWaiting)[0].under_way == 2

    shop.answer(GrantAccess, GrantAccess.Done())
    (progressed,) = shop.published
    assert isinstance(progressed, ItemProgressed)
    assert (progressed.status, progressed.text) == ("waiting", "Waiting for the parcel to be sent.")
    shop.answer(SignDownload, FAILED)
    shop.hear(ShipOrder(carrier="DHL", tracking="T", items=("1",)))
    (progressed,) = shop.published
    assert isinstance(progressed, ItemProgressed)
    assert (progressed.status, progressed.text, progressed.under_way) == ("failed", "It is broken.", 0)

    assert shop.hear(RetryDelivery()).published == [ItemRetried(item="1")]
    assert [type(event) for event in shop.answer(SignDownload, SignDownload.Done(LINK)).published] == [ItemDelivered]


def test_one_execution_is_retried_alone_or_all_of_an_item() -> None:
    shop = bundle(BOOK, GUIDE)
    shop.answer(shop.operation(SignDownload, item="1"), FAILED)
    shop.answer(shop.operation(SignDownload, item="1/2"), FAILED)
    assert [event.item for event in shop.all.of(ItemFailed)] == ["1", "1"]

    shop.hear(RetryDelivery(executions=("1/2",)))
    assert statuses(shop) == {"1": "failed", "1/2": "in_progress"}
    shop.hear(RetryDelivery(items=("1",)))
    assert statuses(shop) == {"1": "in_progress", "1/2": "in_progress"}

    assert shop.refuses(RetryDelivery(executions=("1/3",))).problems[0].code == "unknown_item"


def test_the_latest_configuration_may_have_more_actions_and_what_it_no_longer_has_is_kept() -> None:
    shop = bundle(BOOK)
    shop.answer(SignDownload, FAILED)
    shop.hear(ConfigureProduct(action=GUIDE, further=(COURSE, BOOK)), row_key("acme", "bundle"))

    shop.hear(RetryDelivery(latest=True))

    assert statuses(shop) == {"1": "in_progress", "1/2": "in_progress", "1/3": "in_progress"}
    assert [item.version for item in shop.state.items] == [2, 2, 2]
    assert [item.action for item in shop.state.items] == [BOOK, GUIDE, COURSE], "what it has already comes first"
    shop.answer(shop.operation(SignDownload, item="1/2"), FAILED)
    shop.hear(ConfigureProduct(action=BOOK), row_key("acme", "bundle"))
    shop.hear(RetryDelivery(executions=("1/2",), latest=True))
    assert statuses(shop)["1/2"] == "revoked", "no action is left for it"


def test_what_is_no_longer_configured_is_delivered_no_more() -> None:
    shop = with_extras("ebook")
    shop.answer(shop.operation(SignDownload, item="1"), SignDownload.Done(LINK))
    shop.answer(TakeCode, EMPTY)
    for name, command in (("gold", ConfigureOffer), ("", ConfigureExtras)):
        shop.hear(command(name="Nothing", actions=()), row_key("acme", offer_name(name) if name else EVERY_ORDER))

    retried = shop.hear(RetryDelivery(latest=True))

    assert statuses(retried) == {"1": "delivered", "offer": "stopping", "offer/2": "revoked", "order": "in_progress"}
    assert retried.published[0] == ItemRetried(item="offer", configuration=2, name="Gold members")
    shop.answer(GrantAccess, GrantAccess.Failed("not_needed", "Not needed."))
    assert shop.published == [ItemRevoked(item="offer", under_way=1)]


def test_the_latest_configuration_does_nothing_twice_and_starts_what_is_new_whatever_was_retried() -> None:
    shop = bundle(BOOK, COURSE)
    shop.answer(SignDownload, SignDownload.Done(LINK))
    shop.answer(GrantAccess, GrantAccess.Failed("rejected", "422"))
    shop.hear(ConfigureProduct(action=CORRECTED, further=(BOOK, GUIDE)), row_key("acme", "bundle"))
    latest = RetryDelivery(latest=True)
    preview = retry_preview(shop.state, latest, lambda item: shop.row(Product, row_key("acme", item.sku)))
    assert isinstance(preview, RetryPreview)
    assert [(it.item, it.kind, it.kind_after, it.version_after) for it in preview.items] == [
        ("1/2", "course", "course", 2),
        ("1/3", "", "download", 2),
    ]

    assert shop.hear(latest).published == [ItemRetried(item="1", configuration=2)]

    assert [item.action for item in shop.state.items] == [BOOK, CORRECTED, GUIDE]
    assert statuses(shop) == {"1": "delivered", "1/2": "in_progress", "1/3": "in_progress"}


def test_a_grant_in_doubt_stays_where_it_is_when_the_product_gets_more_actions() -> None:
    """Revoked and granted at one URL at once, the customer might end without access."""
    shop = bundle(COURSE)
    shop.answer(GrantAccess, GrantAccess.Unresolved("time-out"))
    shop.hear(ConfigureProduct(action=BOOK, further=(COURSE,)), row_key("acme", "bundle"))

    shop.hear(RetryDelivery(latest=True))

    assert shop.last.of(RevokeAccess) == []
    assert [(call.item, call.url) for call in shop.last.of(GrantAccess)] == [("1", COURSE.url)]
    assert shop.item("1/2").action == BOOK and not shop.item("1/2").in_doubt


def test_new_executions_start_afresh() -> None:
    shop = bundle(RedemptionCode(pool="keys")).answer(TakeCode, EMPTY)
    assert shop.item().queue
    shop.hear(ConfigureProduct(action=COURSE, further=(BOOK,)), row_key("acme", "bundle"))

    shop.hear(RetryDelivery(latest=True))

    new = shop.item("1/2")
    assert (new.queue, new.attempts, new.code, new.in_doubt, new.unrevoked) == ("", (), "", False, ())
    shop.answer(SignDownload, SignDownload.Done(LINK))


def test_a_retry_says_what_its_item_is_with_all_of_its_executions() -> None:
    shop = bundle(BOOK, GUIDE)
    for item in ("1", "1/2"):
        shop.answer(shop.operation(SignDownload, item=item), FAILED)

    retried = shop.hear(RetryDelivery(executions=("1",))).published

    assert retried == [ItemRetried(item="1", status="failed", text="It is broken.")]
    assert statuses(shop) == {"1": "in_progress", "1/2": "failed"}


def test_a_single_parcel_of_an_item_is_sent() -> None:
    shop = bundle(Shipment(), Shipment())

    shop.hear(ShipOrder(carrier="DHL", tracking="T-1", executions=("1",)))
    assert statuses(shop) == {"1": "delivered", "1/2": "waiting_parcel"}

    shop.hear(ShipOrder(carrier="DHL", tracking="T-2"))
    assert [item.instructions.tracking for item in shop.state.items if item.instructions] == ["T-1", "T-2"]


def test_a_refund_that_ends_what_is_under_way_says_so() -> None:
    """Else the customer would wait for what else was delivered."""
    shop = Shop()
    shop.hear(ConfigureProduct(action=BOOK, further=(GUIDE,)), row_key("acme", "bundle"))
    shop.given(placed(line("1", "bundle"), line("2", "course")), PAID)
    shop.answer(shop.operation(SignDownload, item="1"), SignDownload.Done(LINK))

    kept = shop.hear(refund("1", remove_access=())).published
    assert kept == [ItemProgressed(item="1", status="delivered", under_way=1)]
    stopped = shop.hear(refund("2")).published
    assert stopped == [ItemProgressed(item="2", status="pending", under_way=0)]
    assert shop.item("2").status is ItemStatus.STOPPING


def test_staff_hear_once_of_an_order_without_configurations() -> None:
    shop = Shop().given(placed(*(line(str(number), f"new-{number}") for number in range(1, 21))), PAID)
    assert [event.alert for event in shop.last.of(ItemWaiting)] == [True, *[False] * 19]


def test_an_offer_may_have_a_long_name() -> None:
    shop = Shop()
    offer = "g" * 64
    shop.hear(ConfigureOffer(name="Gold", actions=(Shipment(), BOOK)), row_key("acme", offer_name(offer)))
    shop.given(placed(line("1", "ebook")).model_copy(update={"offer": offer}), PAID)
    shop.hear(ShipOrder(carrier="DHL", tracking="T"))
    assert statuses(shop) == {"1": "in_progress", "offer": "delivered", "offer/2": "in_progress"}


def test_a_product_that_is_configured_late_is_delivered_with_all_of_its_actions() -> None:
    shop = Shop().given(placed(line("1", "bundle")))
    shop.hear(ConfigureProduct(action=BOOK, further=(GUIDE,)), row_key("acme", "bundle"))

    shop.hear(PAID)

    assert [operation.item for operation in shop.last.of(SignDownload)] == ["1", "1/2"]


def test_stock_is_held_once_and_a_refund_ends_all_executions_of_its_item() -> None:
    shop = Shop(poster=3)
    shop.hear(ConfigureProduct(action=Shipment(), further=(COURSE, BOOK), track_stock=True), row_key("acme", "poster"))
    shop.given(placed(line("1", "poster", 2), line("2", "ebook")), PAID)
    assert shop.stock("poster") == Stock(on_hand=1, reserved=0, received=3)
    shop.answer(GrantAccess, GrantAccess.Done())
    shop.answer(shop.operation(SignDownload, item="1/3"), SignDownload.Done(LINK))

    shop.hear(refund("1"))

    assert shop.stock("poster") == Stock(on_hand=3, reserved=0, received=3)
    assert statuses(shop) == {"1": "revoked", "1/2": "revoking", "1/3": "revoked", "2": "in_progress"}
    assert shop.last.of(ItemRevoked) == [], "its access is not revoked yet"
    assert shop.answer(RevokeAccess, RevokeAccess.Done()).published == [ItemRevoked(item="1", under_way=1)]


def test_an_offer_and_every_order_bring_what_is_configured_for_them() -> None:
    shop = with_extras("ebook")
    assert statuses(shop) == dict.fromkeys(("1", "offer", "offer/2", "order"), "in_progress")

    shop.answer(GrantAccess, GrantAccess.Done())
    (progressed,) = shop.last.of(ItemProgressed)
    assert (progressed.item, progressed.name) == ("offer", "Gold members")
    shop.answer(shop.operation(SignDownload, item="order"), SignDownload.Done(LINK))
    (delivered,) = shop.last.of(ItemDelivered)
    assert (delivered.item, delivered.name, delivered.under_way) == ("order", "House guide", 2)

    shop = with_extras("ebook", offer=None)
    assert list(statuses(shop)) == ["1", "order"]


@pytest.mark.parametrize("left", [Shipment(), COURSE])
def test_an_item_is_delivered_when_what_is_left_of_it_is_no_longer_configured(left: Action) -> None:
    shop = bundle(BOOK, left)
    shop.answer(SignDownload, SignDownload.Done(LINK))
    shop.hear(ConfigureProduct(action=BOOK), row_key("acme", "bundle"))

    shop.hear(RetryDelivery(latest=True))
    if isinstance(left, CourseAccess):
        assert shop.published[0] == ItemRetried(item="1", configuration=2)
        shop.answer(GrantAccess, GrantAccess.Failed("not_needed", "Not needed."))
        assert shop.published == [ItemProgressed(item="1", status="delivered", under_way=0)]
    else:
        assert shop.published[0] == ItemRetried(item="1", configuration=2, status="delivered")
    assert statuses(shop) == {"1": "delivered", "1/2": "revoked"}


def test_what_an_offer_brings_is_revoked_with_the_order_or_by_choice() -> None:
    def delivered() -> Shop:
        shop = with_extras("ebook")
        for item in ("1", "order"):
            shop.answer(shop.operation(SignDownload, item=item), SignDownload.Done(LINK))
        return shop.answer(GrantAccess, GrantAccess.Done()).answer(TakeCode, TakeCode.Done(("A-1",)))

    def revoked(shop: Shop) -> list[str]:
        return [id for id, status in statuses(shop).items() if status in ("revoked", "revoking")]

    extras = ["offer", "offer/2", "order"]
    assert revoked(delivered().hear(refund("1"))) == ["1"]
    whole = refund("1", whole=True)
    assert revoked(delivered().hear(whole)) == ["1"], "the choice is payments'"
    assert revoked(delivered().hear(whole.model_copy(update={"remove_offer_access": True}))) == ["1", *extras]
    assert revoked(delivered().hear(refund("1", whole=True, remove_access=()))) == []
    late = with_extras("ebook").hear(refund("1", whole=True, remove_access=()))
    assert revoked(late) == ["1", "offer/2", "order"], "what is not delivered yet is not delivered any more"
    assert statuses(late)["offer"] == "stopping"
    assert revoked(delivered().hear(OrderCancelled())) == ["1", *extras]
    chosen = refund("1", remove_access=()).model_copy(update={"remove_offer_access": True})
    assert revoked(delivered().hear(chosen)) == extras


def test_an_offer_that_brings_nothing_any_more() -> None:
    shop = Shop()
    key = row_key("acme", offer_name("gold"))
    shop.hear(ConfigureOffer(name="Gold", actions=(BOOK,)), key).hear(ConfigureOffer(name="Gold", actions=()), key)
    assert shop.row(Product, key) == Product(None, version=2, name="Gold")

    shop.given(placed(line("1", "ebook")).model_copy(update={"offer": "gold"}), PAID)

    assert list(statuses(shop)) == ["1"]
    assert shop.refuses(ConfigureOffer(name="Gold", actions=()), "acme/gold").code == "wrong_key"
    assert shop.refuses(ConfigureExtras(name="All", actions=()), "acme/order").code == "wrong_key"
    assert shop.refuses(ConfigureProduct(action=BOOK), key).code == "wrong_key"


def test_staff_settle_the_execution_that_is_meant() -> None:
    other = CourseAccess(url="https://courses.example/other", enter=None)
    shop = bundle(COURSE, BOOK, other)
    for call in shop.last.of(GrantAccess) or list(shop.all.of(GrantAccess)):
        shop.answer(call, GrantAccess.Unresolved("time-out"))
    settle = SettleDelivery(item="1", outcome="delivered", reason="Seen.")
    assert shop.refuses(settle).code == "several_executions"

    shop.hear(settle.model_copy(update={"execution": "1/3"}))
    assert shop.item("1/3").status is ItemStatus.DELIVERED
    shop.hear(settle)
    assert shop.item("1").status is ItemStatus.DELIVERED


def test_a_code_that_is_missing_holds_up_only_its_own_action() -> None:
    shop = bundle(RedemptionCode(pool="keys"), RedemptionCode(pool="spare"), quantity=2)
    shop.answer(shop.operation(TakeCode, item="1/2"), TakeCode.Done(("B-1", "B-2")))
    shop.answer(TakeCode, EMPTY)

    assert shop.last.of(ItemWaiting)[0].under_way == 0
    assert statuses(shop) == {"1": "waiting_code", "1/2": "delivered"}


def test_when_what_failed_is_revoked_the_item_waits_or_is_delivered_by_the_rest() -> None:
    shop = bundle(COURSE, ManualTask(text="Call Ada."))
    shop.answer(GrantAccess, GrantAccess.Failed("forbidden", "Give the key access."))
    shop.hear(RevokeDelivery(executions=("1",), reason="Not needed."))

    (told,) = shop.last.of(ItemProgressed)
    assert (told.status, told.text) == ("waiting", "Call Ada.")
    assert (shop.item("1").code, shop.item("1").text) == ("", ""), "it is not to be fixed any more"
