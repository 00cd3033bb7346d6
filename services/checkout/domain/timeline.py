"""What checkout tells for the timeline that staff keeps of an order: what no other event says.

Texts name no full email address and of a card only brand and last four digits.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from shared.contracts.order_work import OrderNoted
from shared.contracts.values import Card
from shared.core import Context
from shared.core.money import Money

LONGEST_TEXT = 500


def noted(context: Context, what: str, text: str, /, actor: str = "", **detail: Any) -> OrderNoted:
    """About the message being handled. `actor`: the sender of the message where empty."""
    said = {name: value for name, value in detail.items() if value not in (None, "", (), [])}
    return OrderNoted(
        what=what,
        text=text[:LONGEST_TEXT],
        by=actor or context.actor or "system",
        detail={name: value.isoformat() if isinstance(value, datetime) else value for name, value in said.items()},
    )


def money(amount: int, currency: str) -> str:
    return str(Money(amount, currency))


def card_name(card: Card | None) -> str:
    return f"{card.brand} ending {card.last4}" if card else ""


def counted(count: int, noun: str) -> str:
    """`1 item`, `2 items`."""
    return f"{count} {noun if count == 1 else f'{noun}s'}"
