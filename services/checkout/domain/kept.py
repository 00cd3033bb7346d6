"""How long personal data is kept. What a checkout told that is never submitted is erased in time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from services.checkout.domain.change import OrderChange
from services.checkout.domain.expiry import NOT_SUBMITTED, expire
from services.checkout.domain.order import Order, orders
from services.checkout.domain.order_records import Opened
from services.checkout.domain.store import Store
from shared.contracts.storefront import Source
from shared.contracts.values import OrderStatus
from shared.core import Context, Decision, Problem, TimerMessage

DAY = timedelta(days=1)
LONGEST = 3650 * DAY


class AbandonedKept(TimerMessage):
    """What a checkout told when it was opened was kept for as long as the store keeps it."""


def keep(change: OrderChange, store: Store) -> None:
    """From the opening on, as the store wants it then."""
    if store.keep_abandoned:
        change.timer(change.context.at + store.keep_abandoned, AbandonedKept())


def keep_no_more(change: OrderChange, store: Store) -> None:
    """It was submitted: what it told is the order's."""
    if store.keep_abandoned:
        change.cancel_timer(AbandonedKept)


@orders.on(AbandonedKept)
def erased(order: Order, timer: AbandonedKept, context: Context) -> Decision[Order]:
    """Who opened it, from where, in which language; what was in the cart stays. Its status record is published again
    without."""
    change = OrderChange(order, context)
    if order.placed_at is not None:
        change.received("checkout.kept", "What the checkout told when it was opened was kept long enough.")
        return change.without_effect("it was submitted")
    if order.status is OrderStatus.CREATED:  # its time is over as well
        expire(change, NOT_SUBMITTED)
    items = order.opened.items if order.opened else ()
    change.set(opened=Opened(None, items) if items else None, country=None, locale=None, origin=Source())
    text = "What the checkout told when it was opened is erased, but for what was in the cart."
    change.note("checkout.kept", text)
    return change.decision()


def kept_problems(values: Mapping[str, Any]) -> Iterator[Problem]:
    """What is wrong, and what contradicts what, by the names of the settings."""
    for field in ("data.keep_abandoned", "data.keep_orders"):
        kept = values[field]
        if kept is not None and (kept % DAY or not DAY <= kept <= LONGEST):
            text = f"Must be whole days, from 1 to {LONGEST.days}, such as P30D."
            yield Problem(field=field, code="out_of_range", text=text)
    kept, abandoned = values["data.keep_abandoned"], values["orders.abandon_after"]
    if kept is not None and kept < abandoned:
        text = f"data.keep_abandoned ({kept}) is over before orders.abandon_after ({abandoned}):"
        text = f"{text} what a checkout told would be erased while it can be submitted."
        yield Problem(field="data.keep_abandoned", code="contradiction", text=text)
