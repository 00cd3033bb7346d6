"""Staff hear at once, and again with its age, of whatever of an order waits for them; one fact for all of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from services.fulfillment.domain.change import DeliveryChange
from services.fulfillment.domain.delivery import Delivery, ItemStatus
from services.fulfillment.domain.kinds.http_action import CallHttpAction, RevokeHttpAction
from services.fulfillment.domain.operations import GrantAccess, RevokeAccess
from services.fulfillment.domain.rcon_operations import RunCommands
from services.fulfillment.domain.staff_waits import CALL_PAUSED, FIRST_REMINDER, LONGEST_WAIT, StillWaiting
from services.fulfillment.domain.waiting_calls import LookAtCalls, ReadWaitingCalls
from services.fulfillment.storage import storage
from shared.contracts.checkout import OrderCancelled
from shared.contracts.delivery_work import (
    DeliveryWaitsForStaff,
    HoldDelivery,
    MarkDeliveredDelivery,
    ReleaseDelivery,
)
from shared.contracts.fulfillment import (
    ConfigureProduct,
    DeliveryStatusRecord,
    Download,
    ItemDelivered,
    ManualTask,
    RetryDelivery,
    SettleDelivery,
)
from shared.contracts.values import Instructions
from shared.core import Context
from shared.core.ids import NIL
from tests.unit.fulfillment.examples import LINK, PAID, STORE, Shop, line, paid, placed, refund
from tests.unit.fulfillment.test_http_action import DONE
from tests.unit.fulfillment.test_http_action import shop as action_bought
from tests.unit.fulfillment.test_rcon import bought as rank_bought
from tests.unit.fulfillment.test_rcon import failed as not_run

WHY = "As agreed by phone."
FORBIDDEN = "The course platform answered 403: check the credentials."
UNSET = "The store's secret school is not set: orderbus secrets set."


def told(shop: Shop) -> list[DeliveryWaitsForStaff]:
    """By the last call."""
    return shop.last.of(DeliveryWaitsForStaff)


def reminded(shop: Shop) -> DeliveryWaitsForStaff:
    (fact,) = told(shop.let_go_off(StillWaiting))
    return fact


def with_task(quantity: int = 1) -> Shop:
    shop = Shop()
    shop.configure("ring", ManualTask(text="Engrave the ring"))
    return shop.given(placed(*(line(str(number), "ring") for number in range(1, quantity + 1))), PAID)


def not_configured() -> Shop:
    return Shop().given(placed(line("1", "lamp")), PAID)


def course_failed() -> Shop:
    return paid("course").answer(GrantAccess, GrantAccess.Failed("forbidden", FORBIDDEN))


def not_revoked() -> Shop:
    shop = paid("course").answer(GrantAccess, GrantAccess.Done()).hear(OrderCancelled())
    return shop.answer(RevokeAccess, RevokeAccess.Failed("forbidden", FORBIDDEN))


def held() -> Shop:
    return Shop().given(placed(line("1", "ebook")), HoldDelivery(reason=WHY), PAID)


def paused() -> Shop:
    reasons = (("1", UNSET),)
    return action_bought().let_go_off(LookAtCalls).answer(ReadWaitingCalls, ReadWaitingCalls.Done(reasons, ("1",)))


def server_away() -> Shop:
    return rank_bought().answer(RunCommands, not_run(RunCommands, "wrong_password", "Set the password again."))


WAITING = {
    "task": (with_task, "Ring, for a day: Engrave the ring."),
    "not configured": (not_configured, "Lamp, for a day: No delivery is configured for SKU lamp."),
    "failed": (course_failed, f"Course, for a day: {FORBIDDEN}"),
    "not revoked": (not_revoked, f"Course, for a day: {FORBIDDEN}"),
    "held": (held, "The order, for a day: Paid, and held for verification: release it, or cancel it."),
    "secret unset": (paused, f"Physics, for a day: {UNSET}"),
    "server refuses": (server_away, "Rank, for a day: Set the password again."),
}


@pytest.mark.parametrize("what", WAITING)
def test_staff_are_told_again_of_whatever_waits_for_them_with_its_age(what: str) -> None:
    begin, text = WAITING[what]
    shop = begin()
    since = shop.at
    again = reminded(shop)
    assert again.text.startswith(text)
    assert (again.since, again.again, again.access_left) == (since, True, what == "not revoked")

    later = reminded(shop)
    assert "for 3 days: " in later.text and later.since == since


@pytest.mark.parametrize(("what", "at_once"), [("held", 1), ("not revoked", 1), ("secret unset", 1), ("failed", 0)])
def test_staff_hear_at_once_where_no_other_fact_tells_them(what: str, at_once: int) -> None:
    shop = WAITING[what][0]()
    assert len(told(shop)) == at_once
    assert not any(fact.again or ", for " in fact.text for fact in told(shop))


def test_the_waits_grow_up_to_a_week() -> None:
    shop, waits = with_task(), []
    for _ in range(6):
        before = shop.at
        reminded(shop)
        waits.append((shop.at - before) / FIRST_REMINDER)
    longest = LONGEST_WAIT / FIRST_REMINDER
    for wait, least in zip(waits, (1, 2, 4, longest, longest, longest), strict=True):
        assert least <= wait <= least * 1.1, "what an outage held up together is not told together"


def test_an_order_tells_all_that_waits_in_one_fact() -> None:
    shop = with_task(quantity=9)
    (first, *_) = shop.state.items
    assert first.waits_since == shop.at
    fact = reminded(shop)
    assert fact.what == "Ring"
    assert fact.text.count("Engrave") == 5 and fact.text.endswith("And 4 more.")


@pytest.mark.parametrize(
    ("begin", "end"),
    [
        (with_task, MarkDeliveredDelivery(reason=WHY)),
        (with_task, OrderCancelled()),
        (with_task, refund("1", whole=True)),
        (course_failed, RetryDelivery()),
        (not_revoked, SettleDelivery(item="1", outcome="revoked", reason=WHY)),
        (held, ReleaseDelivery(reason=WHY)),
        (held, OrderCancelled()),
        (held, refund("1", whole=True)),
    ],
)
def test_it_is_quiet_where_it_is_resolved(begin: object, end: object) -> None:
    shop: Shop = begin()  # type: ignore[operator]
    assert shop.timer(StillWaiting)
    shop.hear(end)
    assert (shop.timer(StillWaiting), shop.state.reminder, told(shop)) == (None, None, [])
    assert not any(item.waits_since for item in shop.state.items)
    assert told(shop.hear(StillWaiting())) == [], "it was on its way when this was resolved"


def test_what_waits_for_setup_is_quiet_once_it_is_configured_or_goes_on() -> None:
    shop = not_configured().hear(ConfigureProduct(action=Download(file="lamp.pdf")), "acme/lamp")
    assert shop.timer(StillWaiting)
    assert shop.hear(RetryDelivery()).timer(StillWaiting) is None
    assert paused().answer(CallHttpAction, DONE).timer(StillWaiting) is None


def test_a_call_that_is_tried_again_by_itself_is_not_told() -> None:
    reasons = (("1", "The platform answered 503."),)
    shop = action_bought().let_go_off(LookAtCalls).answer(ReadWaitingCalls, ReadWaitingCalls.Done(reasons))
    assert (shop.item().code, shop.timer(StillWaiting), told(shop)) == ("call_waits", None, [])
    assert paused().item().code == CALL_PAUSED


def test_calls_that_are_paused_again_and_again_are_told_at_once_a_day_at_most() -> None:
    """Its platform refuses other calls than those by which it is tried."""
    shop, facts = paused(), 0
    begun, resumed = shop.at, ReadWaitingCalls.Done((("1", "The platform answered 503."),))
    while shop.at - begun < timedelta(hours=36):
        for outcome in (resumed, ReadWaitingCalls.Done((("1", UNSET),), ("1",))):
            facts += len(told(shop.let_go_off(LookAtCalls).answer(ReadWaitingCalls, outcome)))
    assert facts == 1
    assert shop.timer(StillWaiting)
    shop.answer(CallHttpAction, DONE).hear(OrderCancelled())
    forbidden = RevokeHttpAction.Failed("forbidden", FORBIDDEN)
    assert len(told(shop.answer(RevokeHttpAction, forbidden))) == 1, "that is another matter"


def test_a_player_who_is_away_is_nothing_for_staff() -> None:
    shop = rank_bought().answer(RunCommands, not_run(RunCommands, "player_offline", "Ada_1 is not online."))
    assert (shop.item().status, shop.timer(StillWaiting)) == (ItemStatus.WAITING_OUTSIDE, None)


def test_what_begins_to_wait_later_is_told_a_day_later_and_not_with_the_long_wait_of_the_rest() -> None:
    shop = Shop()
    shop.configure("ring", ManualTask(text="Engrave the ring"))
    shop.given(placed(line("1", "ring"), line("2", "course")), PAID)
    for _ in range(4):
        reminded(shop)
    shop.answer(GrantAccess, GrantAccess.Failed("forbidden", FORBIDDEN))
    due = shop.timer(StillWaiting)
    assert due is not None and due.due - shop.at < 2 * FIRST_REMINDER
    fact = reminded(shop)
    assert (fact.what, fact.text.count("for a day")) == ("Ring and 1 more", 1)


def test_after_days_of_outage_an_order_tells_it_once_and_not_all_orders_together() -> None:
    shop = with_task()
    shop.at += timedelta(days=9)
    shop.let_go_off(StillWaiting)
    late = shop.at
    assert told(shop) == [], "the first hour after an outage is for what is new"
    fact = reminded(shop)
    assert "for 9 days" in fact.text and shop.at - late <= timedelta(hours=6)
    shop.let_time_pass(timedelta(hours=20))
    assert told(shop) == []


@pytest.mark.parametrize("sku", ["ebook", "poster", "key"])
def test_an_order_that_goes_through_has_no_reminder(sku: str) -> None:
    """Parcels are daily work; of codes that are missing the pool tells."""
    shop = paid(sku)
    change = DeliveryChange(shop.state, Context(shop.at, "o-1", NIL))
    change.deliver_item(shop.item(), Instructions(kind="download", link=LINK))
    decision = change.decision()
    assert (shop.timer(StillWaiting), decision.timers, decision.cancel, decision.records) == (None, [], [], [])
    assert [type(event) for event in decision.events] == [ItemDelivered, DeliveryStatusRecord]


def test_an_order_that_its_store_starts_by_hand_is_daily_work_unless_it_is_held() -> None:
    store = STORE.model_copy(update={"start_by_hand": True})
    order = placed(line("1", "ebook")).model_copy(update={"store": store})
    shop = Shop().given(order, PAID)
    assert (shop.timer(StillWaiting), told(shop)) == (None, [])
    (fact,) = told(shop.hear(HoldDelivery(reason=WHY)))
    assert "held for verification" in fact.text and shop.timer(StillWaiting)
    shop.hear(ReleaseDelivery(reason=WHY))
    assert (shop.timer(StillWaiting), shop.item().status) == (None, ItemStatus.PLANNED)


@pytest.mark.parametrize("by_hand", [False, True])
def test_an_order_of_which_all_was_refunded_is_neither_released_nor_started(by_hand: bool) -> None:
    order = placed(line("1", "ebook"), line("2", "ebook"))
    order = order.model_copy(update={"store": STORE.model_copy(update={"start_by_hand": by_hand})})
    shop = Shop().given(order, *(() if by_hand else (HoldDelivery(reason=WHY),)), PAID, refund("1"))
    (columns,) = (table.columns for table in storage.states if table.kind is Delivery)
    assert columns(shop.state)["held"] == (2 if by_hand else 1)
    assert columns(shop.hear(refund("2")).state)["held"] == 0
    assert shop.timer(StillWaiting) is None


def test_revocations_of_former_actions_count_too() -> None:
    shop = action_bought().answer(CallHttpAction, DONE).hear(OrderCancelled())
    shop.answer(RevokeHttpAction, RevokeHttpAction.Failed("forbidden", FORBIDDEN))
    (fact,) = told(shop)
    assert fact.access_left and fact.text == f"Physics: {FORBIDDEN}"


def test_revocations_that_fail_one_after_another_are_told_at_once_by_the_first_and_all_again() -> None:
    shop = paid("course", "course")
    for item in ("1", "2"):
        shop.answer(shop.operation(GrantAccess, item=item), GrantAccess.Done())
    shop.hear(OrderCancelled())
    forbidden = RevokeAccess.Failed("forbidden", FORBIDDEN)
    counts = [len(told(shop.answer(shop.operation(RevokeAccess, item=item), forbidden))) for item in ("1", "2")]
    assert counts == [1, 0]
    assert reminded(shop).text.count(FORBIDDEN) == 2


def test_what_an_older_build_went_on_with_is_told_no_more() -> None:
    """It keeps the fields that it does not know."""
    shop = with_task()
    (item,) = shop.state.items
    done = replace(item, status=ItemStatus.DELIVERED, instructions=Instructions(kind="manual"), code="", text="")
    shop.put(Delivery, "o-1", replace(shop.state, items=(done,)))
    assert told(shop.let_go_off(StillWaiting)) == []
    assert (shop.item().waits_since, shop.state.reminder, shop.timer(StillWaiting)) == (None, None, None)
