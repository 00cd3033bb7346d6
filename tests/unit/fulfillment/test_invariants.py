"""The running check sees what is damaged."""

from __future__ import annotations

from dataclasses import replace

import pytest

from services.fulfillment.domain.delivery import ItemStatus, Stage, StockHold
from services.fulfillment.domain.invariants import broken
from services.fulfillment.domain.operations import GrantAccess, SignDownload, TakeCode
from shared.core import Work
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
    others = {("fulfillment", "RecheckPools"), ("fulfillment", "ReturnCodes"), ("notifications", "PostWebhook")}
    assert [*broken(delivery, at_rest=True, work=Work(frozenset(others), frozenset({"notifications"})))] == [rule]
    own = Work(frozenset({("fulfillment", kind.__qualname__)}))
    for work in (own, Work(parked=frozenset({"fulfillment"}))):
        assert [*broken(delivery, at_rest=True, work=work)] == []
