"""The timeline: everything that happened to an order, with time and actor, for staff.

Texts name no full email address and of a card only brand and last four digits.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from shared.contracts.values import Card
from shared.core import Context, Record
from shared.core.money import Money

LONGEST_TEXT = 500


class TimelineEntry(Record):
    """One row. `what` is the wire type of what happened (`payment.captured`)."""

    key: str
    id: UUID
    at: datetime
    actor: str
    what: str
    text: str
    detail: Mapping[str, Any]


def entry(context: Context, what: str, text: str, /, actor: str = "", **detail: Any) -> TimelineEntry:
    """An entry about the message being handled. `actor`: the sender of the message where empty."""
    return TimelineEntry(
        key=context.key,
        id=context.new_id(),
        at=context.happened,
        actor=actor or context.actor or "system",
        what=what,
        text=text[:LONGEST_TEXT],
        detail={name: value for name, value in detail.items() if value not in (None, "", (), [])},
    )


def money(amount: int, currency: str) -> str:
    return str(Money(amount, currency))


def card_name(card: Card | None) -> str:
    return f"{card.brand} ending {card.last4}" if card else ""


def counted(count: int, noun: str) -> str:
    """`1 item`, `2 items`."""
    return f"{count} {noun if count == 1 else f'{noun}s'}"
