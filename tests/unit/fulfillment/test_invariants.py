"""The running check sees what is damaged."""

from __future__ import annotations

from dataclasses import replace

import pytest

from services.fulfillment.domain.invariants import broken, unbalanced
from services.fulfillment.domain.states import Delivery, ItemStatus, Stage, Stock, StockHold
from shared.contracts.fulfillment import Shipment
from tests.unit.fulfillment.bench import Bench, line


def paid() -> Bench:
    bench = Bench()
    bench.product("poster", Shipment(), stock=2)
    bench.place(line("1", "poster"))
    bench.pay()
    return bench


def test_a_sound_order_breaks_nothing() -> None:
    bench = paid()

    assert broken(bench.delivery(), at_rest=True) == []
    assert unbalanced({"acme/poster": bench.stock("poster")}, [bench.delivery()]) == []


@pytest.mark.parametrize(
    ("stage", "status", "hold", "rule"),
    [
        (Stage.PLACED, ItemStatus.UNDER_WAY, StockHold.RESERVED, "nothing is delivered before it is paid"),
        (Stage.CANCELLED, ItemStatus.WAITING_PARCEL, StockHold.NONE, "nothing of a cancelled order stays or goes on"),
        (Stage.PAID, ItemStatus.REVOKED, StockHold.TAKEN, "what is called off holds no stock"),
        (Stage.REFUSED, ItemStatus.PLANNED, StockHold.RESERVED, "a sold out order holds no stock"),
        (Stage.PAID, ItemStatus.UNDER_WAY, StockHold.RESERVED, "stock is taken exactly when the order is paid"),
        (Stage.PAID, ItemStatus.DELIVERED, StockHold.TAKEN, "what is delivered says how to use it"),
        (Stage.PAID, ItemStatus.UNDER_WAY, StockHold.TAKEN, "nothing is under way at rest"),
    ],
)
def test_a_damaged_delivery_is_found(stage: Stage, status: ItemStatus, hold: StockHold, rule: str) -> None:
    delivery = paid().delivery()
    damaged: Delivery = replace(delivery, stage=stage, items=(replace(delivery.items[0], status=status, stock=hold),))

    assert rule in broken(damaged, at_rest=True)


def test_damaged_stock_is_found() -> None:
    bench = paid()

    wrong = unbalanced({"acme/poster": Stock(on_hand=2, reserved=1, received=2)}, [bench.delivery()])

    assert wrong == [
        "acme/poster: 1 units are reserved, orders hold 0",
        "acme/poster: 2 on hand and 1 taken are not the 2 received",
    ]
    assert unbalanced({}, [bench.delivery()]) == ["acme/poster: 0 on hand and 1 taken are not the 0 received"]
