"""Finds lost emails and webhook deliveries, in the service's own database."""

from __future__ import annotations

from typing import Protocol

from services.notifications.domain.lost_messages import lost_in
from services.notifications.domain.notification_log import NotificationLog
from services.notifications.domain.operations import FindLost
from shared.core import NoOutcome, NotDone, Outcome, Retry
from shared.shell.ports.store import StoreUnavailable

PAGE = 200
"""Orders of one page."""


class LostUnreadable(StoreUnavailable):
    """The orders cannot be read right now."""


class LostBook(Protocol):
    """Orders that lost something, by key."""

    async def page(self, store: str, column: str, after: str, limit: int) -> list[tuple[str, NotificationLog]]:
        """Of the store, with a number above 0 in the column `lost_emails` or `lost_deliveries`, and a key above
        `after`. Raises LostUnreadable."""
        ...


class LostMessages:
    """Performs FindLost."""

    def __init__(self, book: LostBook) -> None:
        self._book = book

    async def perform(self, operation: FindLost, key: str) -> Outcome | NoOutcome:
        try:
            logs = await self._book.page(operation.store, f"lost_{operation.what}", operation.after, PAGE)
        except LostUnreadable as error:
            return Retry(f"The notifications database does not answer: {error}.")
        found = ((order, tuple(lost_in(log, operation))) for order, log in logs)
        following = logs[-1][0] if len(logs) == PAGE else None
        return FindLost.Done(tuple((order, messages) for order, messages in found if messages), following)

    async def find(self, operation: FindLost, key: str) -> Outcome | NotDone | NoOutcome:
        return NotDone()
