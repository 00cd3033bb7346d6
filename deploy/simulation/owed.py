"""What the store owes its customers, as payments has it."""

from __future__ import annotations

from collections.abc import Iterator

from deploy.simulation.world import World
from services.payments.domain.owed import Obligation, obligations
from services.payments.domain.payment import Payment
from services.payments.storage import storage as payments_storage
from shared.core import codec

PAYMENTS = next(table for table in payments_storage.states if table.kind is Payment)


def owed(world: World) -> Iterator[tuple[str, Payment, Obligation]]:
    """What the store owes, of every order, as payments has it."""
    for key, stored in world.stores["payments"].states(PAYMENTS).items():
        if stored.row.data:
            payment = codec.load(Payment, stored.row.data)
            yield from ((key, payment, part) for part in obligations(payment))
