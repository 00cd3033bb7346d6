"""The running check sees what is damaged."""

from __future__ import annotations

from dataclasses import replace

import pytest

from services.fulfillment.domain.delivery import ItemStatus, Stage, StockHold
from services.fulfillment.domain.invariants import broken
from services.fulfillment.domain.operations import GrantAccess, SignDownload, TakeCode
from shared.core import Task, Work
from tests.unit.fulfillment.examples import PAID, Shop, line, placed


def paid() -> Shop:
    return Shop(poster=2).given(placed(line("1", "poster")), PAID)


def test_a_sound_order_breaks_nothing() -> None:
    assert [*broken(paid().state, at_rest=True)] == []


@pytest.mark.parametrize(
    ("stage", "status", "hold", "rule"),
    [
        (Stage.PLACED, ItemStatus.IN_PROGRESS, StockHold.RESERVED, "nothing is delivered before it is paid"),
        (
            Stage.CANCELLED,
            ItemStatus.WAITING_PARCEL,
            StockHold.NONE,
            "nothing of a cancelled order is or will be delivered",
        ),
        (Stage.PAID, ItemStatus.REVOKED, StockHold.TAKEN, "cancelled items hold no stock"),
        (Stage.REFUSED, ItemStatus.PLANNED, StockHold.RESERVED, "a sold-out order holds no stock"),
        (Stage.PAID, ItemStatus.IN_PROGRESS, StockHold.RESERVED, "stock is taken exactly when the order is paid"),
        (Stage.PAID, ItemStatus.DELIVERED, StockHold.TAKEN, "a delivered item has instructions"),
        (Stage.PAID, ItemStatus.IN_PROGRESS, StockHold.TAKEN, "nothing is in progress at rest"),
    ],
)
def test_a_damaged_delivery_is_found(stage: Stage, status: ItemStatus, hold: StockHold, rule: str) -> None:
    delivery = paid().state
    item = replace(delivery.items[0], status=status, stock=hold)

    assert rule in broken(replace(delivery, stage=stage, items=(item,)), at_rest=True)


@pytest.mark.parametrize(("sku", "kind"), [("ebook", SignDownload), ("key", TakeCode), ("course", GrantAccess)])
def test_an_item_in_progress_is_excused_by_its_own_operation_only(sku: str, kind: type) -> None:
    delivery, rule = Shop().given(placed(line("1", sku)), PAID).state, "nothing is in progress at rest"
    name = kind.__qualname__
    others = {
        *(Task("fulfillment", "RecheckPools", ""), Task("fulfillment", "ReturnCodes", "1")),
        *(Task("fulfillment", name, "2"), Task("notifications", name, "1")),
    }
    assert [*broken(delivery, at_rest=True, work=Work(frozenset(others), frozenset({"notifications"})))] == [rule]
    own, unreadable = (Work(frozenset({Task("fulfillment", name, about)})) for about in ("1", None))
    for work in (own, unreadable, Work(parked=frozenset({"fulfillment"}))):
        assert [*broken(delivery, at_rest=True, work=work)] == []


def test_of_two_items_with_the_same_action_the_one_without_a_call_is_found() -> None:
    delivery = Shop().given(placed(line("1", "key"), line("2", "key")), PAID).state
    for calls, found in ((["1", "2"], 0), (["2"], 1), (["1"], 1)):
        work = Work(frozenset(Task("fulfillment", "TakeCode", item) for item in calls))
        assert len([*broken(delivery, at_rest=True, work=work)]) == found
