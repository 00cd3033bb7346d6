"""What payments keeps of an order that ended before its payment was requested."""

from __future__ import annotations

from services.payments.domain.payment import Payment


def ended_unrequested(store: str, closed_as: str) -> Payment:
    """After a restore of checkout's database, its payment may be requested after its end."""
    return Payment(number="", store=store, provider="", currency="", items=(), closed_as=closed_as)
