"""What waits for staff: one list, which `orderbus attention` shows over HTTP and `orderbus check` reads by itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

MOST = 500
"""Entries that one reader returns: the oldest."""


@dataclass(frozen=True, slots=True)
class Attention:
    """One thing that goes no further until staff act."""

    what: str
    """`parked`, `lost emails`, `empty code pool`, …"""
    subject: str
    """The order, key, store, pool or destination that it is about."""
    since: datetime
    """Since when it has waited."""
    reason: str
    """For staff; without personal data."""
    command: str
    """What to run: it helps, or shows more."""
    count: int = 1
    """How many of them there are."""
    routine: bool = False
    """Daily work, such as parcels to be sent: no fault, and nothing that `orderbus check` reports."""


@dataclass(frozen=True, slots=True)
class AttentionList:
    """What waits for staff."""

    attention: Sequence[Attention]
    """One entry for each thing that waits."""
    unreadable: Sequence[str] = ()
    """What is not listed because a row that belongs there cannot be read: `paused endpoints`."""


AttentionReader = Callable[[AsyncConnection], Awaitable[Sequence[Attention]]]
"""Reads one kind of entries from a service's database."""
