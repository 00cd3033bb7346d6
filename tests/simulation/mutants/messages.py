"""Mutants about the status records of emails and webhook deliveries."""

from __future__ import annotations

from collections.abc import Iterator

from services.notifications.domain import change, status_record
from services.notifications.domain.notification_log import NotificationLog
from tests.simulation.mutants.catalogue import instead, mutant


@mutant("a record is not told when the last message arrives")
def last_arrival_untold() -> Iterator[None]:
    real = status_record.is_told

    def is_told(before: NotificationLog, after: NotificationLog) -> bool:
        arrived = before.pending() and not after.pending() and not any(one.wrong_since for one in after.messages)
        return not arrived and real(before, after)

    with instead(change, "is_told", is_told):
        yield
