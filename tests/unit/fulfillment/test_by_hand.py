"""What staff do by hand: mark as delivered, send again, attach, revoke and grant again, hold and release."""

from __future__ import annotations

from services.fulfillment.domain.delivery import ItemStatus
from services.fulfillment.domain.operations import GiveCodes, GrantAccess, RevokeAccess, SignDownload, TakeCode
from shared.contracts.checkout import OrderCancelled
from shared.contracts.codes import ProvideCode
from shared.contracts.delivery_work import (
    AttachDelivery,
    DeliveryNoted,
    DeliveryResent,
    GrantAgainDelivery,
    HoldDelivery,
    MarkDeliveredDelivery,
    ReleaseDelivery,
    ResendDelivery,
    ResentItem,
    RevokeDelivery,
    StartDelivery,
)
from shared.contracts.fulfillment import (
    ItemDelivered,
    ItemFailed,
    ItemRetried,
    ItemRevoked,
    ItemWaiting,
    ManualTask,
    ShipOrder,
)
from shared.contracts.values import Instructions
from tests.unit.fulfillment.examples import EMPTY, LINK, PAID, Shop, line, paid, placed, refund

WHY = "As agreed by phone."


def with_task(text: str = "Engrave {{custom.text}} for {{customer.name}}.", written: str = "L\n") -> Shop:
    shop = Shop()
    shop.configure("ring", ManualTask(text=text))
    ring = line("1", "ring").model_copy(update={"custom_fields": {"text": written} if written else {}})
    return shop.given(placed(ring), PAID)


def test_a_task_waits_for_staff_and_is_done_by_marking_it() -> None:
    shop = with_task()
    (waits,) = shop.last.of(ItemWaiting)
    assert (waits.code, waits.text, waits.alert) == ("task", "Engrave L  for Ada.", True)

    shop.hear(MarkDeliveredDelivery(note="Sent in a red box.", reason=WHY))

    assert shop.published == [
        DeliveryNoted(action="marked_delivered", items=("1",), text=WHY),
        ItemDelivered(item="1", instructions=Instructions(kind="manual", note="Sent in a red box."), under_way=0),
    ]
    shop.hear(refund("1", whole=True))
    assert shop.last.of(ItemRevoked)


def test_a_task_without_the_fields_that_it_needs_fails_with_what_to_do() -> None:
    (failed,) = with_task(written="").last.of(ItemFailed)
    assert failed.code == "field_missing"
    assert "custom field text" in failed.text


def test_codes_are_given_by_hand_while_the_pool_is_empty() -> None:
    shop = paid("key", "ebook").answer(TakeCode, EMPTY).answer(SignDownload, SignDownload.Done(LINK))

    shop.hear(MarkDeliveredDelivery(codes=("AAA",), note="Sorry!", notify=False, reason=WHY))
    assert shop.requested == [GiveCodes("acme/keys", "o-1", "1", ("AAA",), note="Sorry!", quiet=True)]
    shop.answer(GiveCodes, GiveCodes.Done())

    (delivered,) = shop.last.of(ItemDelivered)
    assert (delivered.item, delivered.quiet) == ("1", True)
    assert delivered.instructions == Instructions(kind="code", code="AAA", note="Sorry!")
    assert shop.waiting() == ()


def test_codes_that_another_item_has_are_not_given_by_hand() -> None:
    shop = paid("key").answer(TakeCode, EMPTY).hear(MarkDeliveredDelivery(codes=("AAA",), reason=WHY))

    shop.answer(GiveCodes, GiveCodes.Failed("already_given", "Another item has one of these codes."))

    assert [event.code for event in shop.last.of(ItemFailed)] == ["already_given"]


def test_codes_that_come_with_what_is_no_code_are_recorded_too() -> None:
    shop = paid("poster").hear(MarkDeliveredDelivery(codes=("AAA", "BBB"), reason=WHY))

    assert shop.last.of(ItemDelivered)
    assert shop.requested == [GiveCodes("acme/", "o-1", "1", ("AAA", "BBB"))]
    shop.answer(GiveCodes, GiveCodes.Failed("already_given", "Another item has one of these codes."))
    (noted,) = shop.last.of(DeliveryNoted)
    assert "not recorded: Another item has one" in noted.text


def test_everything_open_is_marked_at_once_and_codes_are_for_one_only() -> None:
    shop = paid("poster", "unheard")
    refused = shop.refuses(MarkDeliveredDelivery(codes=("AAA",), reason=WHY))
    assert (refused.code, refused.text) == ("several_executions", "Say which execution the codes are for, of 1, 2.")

    shop.hear(MarkDeliveredDelivery(note="Enjoy!", reason=WHY))
    assert [item.status for item in shop.state.items] == [ItemStatus.DELIVERED] * 2
    assert [fact.instructions.note for fact in shop.last.of(ItemDelivered)] == ["Enjoy!", None]
    assert shop.in_progress()[-1] == 0
    assert shop.refuses(MarkDeliveredDelivery(reason=WHY)).code == "nothing_open"


def test_what_is_being_delivered_cannot_be_marked_unless_staff_may_settle_it() -> None:
    shop = paid("ebook", "course")
    assert shop.refuses(MarkDeliveredDelivery(items=("1",), reason=WHY)).code == "in_progress"

    shop.hear(MarkDeliveredDelivery(items=("2",), reason=WHY))
    shop.answer(GrantAccess, GrantAccess.Done())
    assert shop.published == []
    shop.hear(refund("2"))
    assert [type(one) for one in shop.requested] == [RevokeAccess]


def test_marking_is_refused_before_payment_and_after_cancellation() -> None:
    shop = Shop().given(placed(line("1", "poster")))
    assert shop.refuses(MarkDeliveredDelivery(reason=WHY)).code == "not_paid"
    shop.hear(OrderCancelled())
    assert shop.refuses(MarkDeliveredDelivery(reason=WHY)).code == "order_cancelled"
    assert paid("poster").refuses(MarkDeliveredDelivery(items=("9",), reason=WHY)).code == "unknown_item"


# Sent again


def test_links_are_signed_again_and_codes_sent_as_they_are() -> None:
    shop = paid("ebook", "key")
    shop.answer(SignDownload, SignDownload.Done(LINK)).answer(TakeCode, TakeCode.Done(("AAA",)))

    shop.hear(ResendDelivery(reason=WHY))
    sent = ResentItem(item="2", instructions=Instructions(kind="code", code="AAA"))
    assert shop.published == [
        DeliveryNoted(action="resent", items=("1", "2"), text=WHY),
        DeliveryResent(items=(sent,)),
    ]
    shop.answer(SignDownload, SignDownload.Done(f"{LINK}2"))
    (again,) = shop.last.of(DeliveryResent)
    assert again.items[0].instructions.link == f"{LINK}2"
    assert shop.item().instructions == again.items[0].instructions


def test_what_was_delivered_stays_so_when_it_cannot_be_sent_again() -> None:
    shop = paid("ebook").answer(SignDownload, SignDownload.Done(LINK))
    shop.hear(ResendDelivery(reason=WHY))

    shop.answer(SignDownload, SignDownload.Failed("failed", "Fix it."))

    assert shop.published == [DeliveryNoted(action="resend_failed", items=("1",), text="Fix it.")]
    assert shop.item().status is ItemStatus.DELIVERED
    assert paid("poster").refuses(ResendDelivery(reason=WHY)).code == "nothing_delivered"


def test_content_is_attached_to_an_item_and_sent_with_it_from_then_on() -> None:
    shop = paid("poster")
    shop.hear(AttachDelivery(item="1", link="https://acme.example/proof.pdf", reason=WHY))
    proof = ResentItem(item="1", instructions=Instructions(kind="manual", link="https://acme.example/proof.pdf"))
    assert shop.last.of(DeliveryResent) == [DeliveryResent(items=(proof,))]
    shop.hear(AttachDelivery(item="1", note="Keep it dry.", notify=False, reason=WHY))
    assert shop.last.of(DeliveryResent) == []

    shop.hear(ShipOrder(carrier="DHL", tracking="T1"))
    shop.hear(ResendDelivery(reason=WHY))
    (again,) = shop.last.of(DeliveryResent)
    assert [one.instructions.kind for one in again.items] == ["shipment", "manual", "manual"]
    assert shop.refuses(AttachDelivery(item="1", reason=WHY)).code == "nothing_to_attach"
    assert shop.refuses(AttachDelivery(item="3", note="x", reason=WHY)).code == "unknown_item"


# Revoked, and granted again


def test_access_is_revoked_and_granted_again_without_a_refund() -> None:
    shop = paid("course").answer(GrantAccess, GrantAccess.Done())

    shop.hear(RevokeDelivery(reason=WHY))
    assert shop.refuses(GrantAgainDelivery(items=("1",), reason=WHY)).code == "not_revoked_yet"
    shop.answer(RevokeAccess, RevokeAccess.Done())
    assert shop.published == [ItemRevoked(item="1")]
    assert shop.refuses(RevokeDelivery(items=("1",), reason=WHY)).code == "item_revoked"

    shop.hear(GrantAgainDelivery(reason=WHY))
    assert shop.published == [DeliveryNoted(action="granted_again", items=("1",), text=WHY), ItemRetried(item="1")]
    shop.answer(GrantAccess, GrantAccess.Done())
    assert shop.last.of(ItemDelivered)


def test_every_kind_can_be_revoked_and_granted_again_as_it_was_bought() -> None:
    shop = paid("ebook", "key", "poster")
    shop.answer(SignDownload, SignDownload.Done(LINK)).answer(TakeCode, TakeCode.Done(("AAA",)))
    shop.hear(ShipOrder(carrier="DHL", tracking="T1"))
    shop.configure("ebook", ManualTask(text="Read it out."))

    shop.hear(RevokeDelivery(reason=WHY))
    assert [item.status for item in shop.state.items] == [ItemStatus.REVOKED] * 3
    shop.hear(GrantAgainDelivery(reason=WHY))

    assert [type(one) for one in shop.requested] == [SignDownload, TakeCode]
    assert shop.item("3").status is ItemStatus.WAITING_PARCEL


def test_what_was_refunded_since_is_not_granted_again() -> None:
    shop = Shop(poster=3).given(placed(line("1", "poster")), PAID, ShipOrder(carrier="DHL", tracking="T1"))
    shop.hear(RevokeDelivery(reason=WHY))
    assert shop.stock("poster").on_hand == 2
    shop.hear(refund("1"))
    assert shop.stock("poster").on_hand == 3

    assert shop.refuses(GrantAgainDelivery(items=("1",), reason=WHY)).code == "not_revoked"


# Held


def test_a_held_order_delivers_nothing_until_it_is_released() -> None:
    shop = Shop(poster=3).given(placed(line("1", "poster"), line("2", "ebook")), HoldDelivery(reason=WHY))

    shop.hear(PAID)
    assert [item.status for item in shop.state.items] == [ItemStatus.PLANNED] * 2
    assert (shop.requested, shop.stock("poster").on_hand) == ([], 2)
    assert [record.held for record in shop.told()][-1:] == [True]
    for command in (
        ShipOrder(carrier="DHL", tracking="T"),
        MarkDeliveredDelivery(reason=WHY),
        HoldDelivery(reason=WHY),
    ):
        assert shop.refuses(command).code == "held"

    shop.hear(ReleaseDelivery(reason=WHY))
    assert [type(one) for one in shop.requested] == [SignDownload]
    assert shop.refuses(ReleaseDelivery(reason=WHY)).code == "not_held"
    assert shop.refuses(HoldDelivery(reason=WHY)).code == "too_late"


def test_staff_give_no_code_to_an_item_of_a_held_order() -> None:
    shop = Shop().given(placed(line("1", "key")), HoldDelivery(reason=WHY), PAID)
    give = ProvideCode(item="1", codes=("AB-12",), reason=WHY)
    assert shop.refuses(give).code == "held"


def test_a_held_order_that_is_cancelled_gives_its_stock_back() -> None:
    shop = Shop(poster=3).given(placed(line("1", "poster")), HoldDelivery(reason=WHY), PAID, OrderCancelled())
    assert shop.stock("poster").free == 3
    assert not shop.told()[-1].held
    assert shop.refuses(ReleaseDelivery(reason=WHY)).code == "not_held"
    assert (shop.requested, shop.item().status) == ([], ItemStatus.REVOKED)


# Started by hand


def to_start(**changes: object) -> Shop:
    """A paid order of a store that starts each delivery by hand."""
    order = placed(line("1", "poster"), line("2", "ebook"))
    card = order.store.model_copy(update={"start_by_hand": True})
    return Shop(poster=3).given(order.model_copy(update={"store": card, **changes}))


def test_a_delivery_waits_until_staff_start_it() -> None:
    shop = to_start()
    assert shop.refuses(StartDelivery()).code == "not_paid"
    shop.hear(PAID)
    assert ([item.status for item in shop.state.items], shop.requested) == ([ItemStatus.PLANNED] * 2, [])
    assert shop.told()[-1].to_start
    for command in (ShipOrder(carrier="DHL", tracking="T"), MarkDeliveredDelivery(reason=WHY)):
        assert shop.refuses(command).code == "not_started"

    shop.hear(StartDelivery(reason="Printed."))
    assert [type(one) for one in shop.requested] == [SignDownload]
    assert [(noted.action, noted.text) for noted in shop.last.of(DeliveryNoted)] == [("started", "Printed.")]
    assert shop.refuses(StartDelivery()).code == "not_waiting"


def test_an_order_that_is_held_too_is_released_first() -> None:
    shop = to_start(held="70.00 USD is above 50.00 USD").hear(PAID)
    assert shop.refuses(StartDelivery()).code == "held"
    assert shop.hear(ReleaseDelivery(reason=WHY)).requested == []
    assert shop.hear(HoldDelivery(reason=WHY)).state.held, "nothing has begun yet"
    shop.given(ReleaseDelivery(reason=WHY), StartDelivery())
    assert not shop.state.why_not_begun


def test_an_order_that_is_to_be_started_and_is_cancelled_gives_its_stock_back() -> None:
    shop = to_start().given(PAID, OrderCancelled())
    assert (shop.stock("poster").free, shop.told()[-1].to_start) == (3, None)


def test_an_order_that_the_rules_of_its_store_hold_waits_like_any_other() -> None:
    shop = Shop().given(placed(line("1", "ebook")).model_copy(update={"held": "billed in DE"}), PAID)
    assert (shop.state.held, shop.requested) == (True, [])
    assert [type(one) for one in shop.hear(ReleaseDelivery(reason=WHY)).requested] == [SignDownload]
