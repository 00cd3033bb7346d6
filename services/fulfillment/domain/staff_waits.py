"""What of a delivery waits for staff, and since when: one rule for every kind. They hear at once, and again, ever more
rarely, with its age.

Parcels to send and orders to start are their daily work and are not among it. Codes that are missing are told by pool
(`low_pools.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import ClassVar

from services.fulfillment.domain.delivery import CANCELLED, TRANSIENT, Delivery, Item, ItemStatus, Stage
from shared.contracts.delivery_work import DeliveryWaitsForStaff
from shared.core import TimerMessage
from shared.core.waits import growing_wait

FIRST_REMINDER, LONGEST_WAIT = timedelta(days=1), timedelta(days=7)
SPREAD = 10
"""A wait is longer by up to a part of it, so that what an outage held up together is not told together."""
CALL_PAUSED = "call_paused"
"""The code of an item whose call staff have to make possible first."""
HELD = "Paid, and held for verification: release it, or cancel it."
SHOWN, SHOWN_CHARACTERS = 5, 300
"""Of what waits: so many are named, the oldest, each with so much of its text."""
FOR_STAFF = (ItemStatus.WAITING_TASK, ItemStatus.WAITING_SETUP, ItemStatus.FAILED, ItemStatus.REVOCATION_FAILED)


class StillWaiting(TimerMessage):
    """Time to tell staff again of what waits for them, if it still does."""

    reminds: ClassVar[bool] = True


def waits_for_staff(item: Item) -> bool:
    if item.outside is not None and item.status is ItemStatus.WAITING_OUTSIDE:
        return item.outside.for_staff
    return item.status in FOR_STAFF or item.is_left_elsewhere or item.lacks_setup or is_paused(item)


def is_paused(item: Item) -> bool:
    return item.status in TRANSIENT and item.code == CALL_PAUSED


def is_told_otherwise(item: Item) -> bool:
    """Staff hear of its beginning by a fact of its own."""
    return item.status not in (*TRANSIENT, ItemStatus.REVOCATION_FAILED) and not item.is_left_elsewhere


def is_held(delivery: Delivery, items: Collection[Item]) -> bool:
    """A paid order that waits to be released, and of which anything is left to deliver."""
    return delivery.held and delivery.stage is Stage.PAID and not is_all_cancelled(items)


def is_all_cancelled(items: Collection[Item]) -> bool:
    return bool(items) and all(item.status in CANCELLED for item in items)


def next_reminder(at: datetime, times: int, share: int) -> datetime:
    """After so many reminders. `share`: any number that differs from order to order."""
    wait = growing_wait(FIRST_REMINDER, LONGEST_WAIT, times + 1)
    return at + wait + wait / SPREAD * (share % 1000) / 1000


def told(delivery: Delivery, items: Collection[Item], at: datetime, *, again: bool) -> DeliveryWaitsForStaff | None:
    """One fact for all of an order that waits. None where nothing does."""
    waiting = sorted(
        (item.waits_since, number, item)
        for number, item in enumerate(items)
        if item.waits_since and waits_for_staff(item)
    )
    lines = [(since, item.product, item.text) for since, _, item in waiting]
    if is_held(delivery, items):
        lines.insert(0, (delivery.held_since or at, "The order", HELD))
    if not lines:
        return None
    names = list(dict.fromkeys(name for _, name, _ in lines))
    what = names[0] if len(names) == 1 else f"{names[0][:150]} and {len(names) - 1} more"
    return DeliveryWaitsForStaff(
        what=what[:200],
        text=_text(lines, at, again=again),
        since=min(since for since, _, _ in lines),
        again=again,
        access_left=any(
            item.status is ItemStatus.REVOCATION_FAILED or item.is_left_elsewhere for _, _, item in waiting
        ),
    )


def _text(lines: Sequence[tuple[datetime, str, str]], at: datetime, *, again: bool) -> str:
    shown = [f"{name}{f', {age(since, at)}' if again else ''}: {_short(text)}" for since, name, text in lines[:SHOWN]]
    rest = len(lines) - len(shown)
    return " ".join([*shown, f"And {rest} more."] if rest else shown)[:2000]


def _short(text: str) -> str:
    text = text.strip() or "see its timeline."
    if len(text) > SHOWN_CHARACTERS:
        return f"{text[:SHOWN_CHARACTERS]}…"
    return text if text[-1] in ".!?…" else f"{text}."


def age(since: datetime, at: datetime) -> str:
    """`for 3 days`."""
    days = max(1, round((at - since) / timedelta(days=1)))
    return "for a day" if days == 1 else f"for {days} days"
