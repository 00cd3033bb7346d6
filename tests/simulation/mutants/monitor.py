"""Bugs of the monitor."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from services.monitor.domain.orders_per_minute import OrdersPerMinute
from tests.simulation.mutants.catalogue import instead, mutant


@mutant("the monitor counts an order again when it is read again")
def order_counted_again() -> Iterator[None]:
    original = OrdersPerMinute.count

    def count(self: OrdersPerMinute, order: str, revision: int, store: str, placed_at: datetime | None) -> None:
        original(self, f"{order} {len(self)}", revision, store, placed_at)

    with instead(OrdersPerMinute, "count", count):
        yield
