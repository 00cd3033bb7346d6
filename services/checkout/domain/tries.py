"""How often, and how soon, a customer may pay again: a shop is no place to test stolen cards or to hold stock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from services.checkout.domain.order import Order
from services.checkout.domain.timeline import counted
from shared.core import Refused
from shared.core.waits import growing_wait

MOST_TRIES = 50
FIRST_WAIT = 3
"""The decline with which waiting begins."""
LONGEST_COOL_DOWN = timedelta(hours=1)
NO_TRY_LEFT = "No further try is left"


def cool_down(first: timedelta, declines: int) -> timedelta:
    """How long to wait after so many declined payments: `first` after the third, doubled by each further one."""
    if declines < FIRST_WAIT:
        return timedelta(0)
    return growing_wait(first, LONGEST_COOL_DOWN, declines - FIRST_WAIT + 1)


def tries_left(order: Order) -> int:
    """None is left either where the customer would have to wait until after the deadline."""
    if order.payment_failed or (order.retry_after and order.deadline and order.retry_after >= order.deadline):
        return 0
    return max(order.payment_tries - order.attempts, 0)


def too_many_attempts(order: Order, at: datetime) -> Refused | None:
    """Why the order cannot be paid again now, if too often was tried."""
    if not tries_left(order):
        tried = f"{counted(order.attempts, 'payment')} {'was' if order.attempts == 1 else 'were'} tried"
        return Refused("too_many_attempts", f"{NO_TRY_LEFT}: {tried}. Contact the store.")
    if order.retry_after and at < order.retry_after:
        text = f"Too many payments were declined. Try again after {moment(order.retry_after)}."
        return Refused("too_many_attempts", text)
    return None


def moment(at: datetime) -> str:
    """`2026-03-03 14:05:00 UTC`, rounded up: at that time it is allowed. The customer's time zone is not known."""
    full = at.astimezone(UTC) + timedelta(seconds=1) - timedelta.resolution
    return f"{full:%Y-%m-%d %H:%M:%S} UTC"
