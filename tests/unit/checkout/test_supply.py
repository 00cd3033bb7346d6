"""What runs low is told by the order that took from it."""

from __future__ import annotations

from datetime import timedelta

from shared.contracts.checkout import OrderSupplyLow
from shared.contracts.codes import PoolLow
from tests.unit.checkout.examples import paid_order


def test_a_low_pool_is_told_with_its_age_and_who_waits() -> None:
    order = paid_order("atlas")
    low = PoolLow(pool="keys", name="Game keys", left=1, low_water=10, since=order.at)

    order.hear(low)
    text = "1 code left, fewer than 10. Import more."
    assert order.facts == [OrderSupplyLow(what="pool Game keys", text=text)]
    order.let_time_pass(timedelta(days=3)).hear(low.model_copy(update={"left": 0, "waiting": 2}))
    text = "0 codes left, fewer than 10, for 3 days now. Orders wait for it: 2. Import more."
    assert order.facts == [OrderSupplyLow(what="pool Game keys", text=text)]
