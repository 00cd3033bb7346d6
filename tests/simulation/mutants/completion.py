"""Mutants about orders that staff complete by hand."""

from __future__ import annotations

from collections.abc import Iterator

from services.checkout.domain import completion
from services.checkout.domain.change import OrderChange
from shared.contracts.order_work import OrderPaidElsewhere
from tests.simulation.mutants.catalogue import instead, mutant


@mutant("restore moves money")
def restore_moves_money() -> Iterator[None]:
    """It has payments take in again what went back."""
    real = completion._restore

    def restore(change: OrderChange) -> None:
        real(change)
        order = change.state
        change.set(attempts=order.attempts + 1)
        change.publish(
            OrderPaidElsewhere(
                attempt=order.attempts + 1,
                number=order.number,
                store=order.store.id,
                amount=order.purchased,
                currency=order.currency,
                items=tuple(line.item for line in order.lines),
            )
        )

    with instead(completion, "_restore", restore):
        yield
