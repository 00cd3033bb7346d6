"""Finds what was lost, in the service's own database."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Protocol

from services.notifications.domain.operations import FindLost
from services.notifications.domain.state import LOST, NOT_DELIVERED, NotificationLog
from shared.core import NoOutcome, NotDone, Outcome, Retry

PAGE = 200
"""Orders of one page."""


class LostUnreadable(Exception):
    """The orders cannot be read right now."""


class LostBook(Protocol):
    """Orders that lost something, by key."""

    async def page(self, store: str, column: str, after: str, limit: int) -> list[tuple[str, NotificationLog]]:
        """Of the store, with a number above 0 in the column `lost_mails` or `lost_postings`, and a key above `after`.
        Raises LostUnreadable."""
        ...


class LostMessages:
    """Performs FindLost."""

    def __init__(self, book: LostBook) -> None:
        self._book = book

    async def perform(self, operation: FindLost, key: str) -> Outcome | NoOutcome:
        column = "lost_mails" if operation.what == "mails" else "lost_postings"
        try:
            threads = await self._book.page(operation.store, column, operation.after, PAGE)
        except LostUnreadable as error:
            return Retry(f"the database of notifications does not answer: {error}")
        found = ((order, tuple(lost_of(thread, operation))) for order, thread in threads)
        following = threads[-1][0] if len(threads) == PAGE else None
        return FindLost.Done(tuple((order, messages) for order, messages in found if messages), following)

    async def find(self, operation: FindLost, key: str) -> Outcome | NotDone | NoOutcome:
        return NotDone()


def lost_of(thread: NotificationLog, wanted: FindLost) -> Iterator[str]:
    """The message ids of an order that were lost in the period."""

    def then(at: datetime | None) -> bool:
        return at is not None and wanted.since <= at < wanted.until

    if wanted.what == "mails":
        yield from (mail.id for mail in thread.mails if mail.state in LOST and then(mail.at))
        return
    for posting in thread.postings:
        if posting.state in NOT_DELIVERED and wanted.endpoint in (None, posting.endpoint) and then(posting.at):
            yield posting.id
