"""In which language customer and staff of an order are written to, and what the store calls its statuses."""

from __future__ import annotations

from collections.abc import Mapping

from services.notifications.domain.notification_log import NotificationLog
from shared.contracts.values import OrderStatus as S
from shared.languages import Language, language, marked

STATUSES: Mapping[S, str] = {
    S.CREATED: marked("Opened"),
    S.RECEIVED: marked("Received"),
    S.ACCEPTED: marked("Accepted"),
    S.PENDING_PAYMENT: marked("Waiting for payment"),
    S.PROCESSING: marked("Paid"),
    S.COMPLETED: marked("Completed"),
    S.FAILED: marked("Being checked"),
    S.DECLINED: marked("Declined"),
    S.CANCELLED: marked("Cancelled"),
    S.EXPIRED: marked("Expired"),
    S.REFUNDED: marked("Refunded"),
    S.RETURNED: marked("Returned"),
}
"""Statuses as customers read them, where the store has no word of its own."""


def for_customer(log: NotificationLog) -> Language:
    """That of the order's locale, or the store's first."""
    return language(log.locale, log.store.languages or ())


def for_staff(log: NotificationLog) -> Language:
    """The store's first."""
    return language(None, log.store.languages or ())


def status_word(log: NotificationLog, status: S) -> str:
    """The store's word for it, else the language's."""
    return own_word(log, status) or for_customer(log).known(STATUSES[status])


def own_word(log: NotificationLog, status: S) -> str | None:
    return (log.store.status_words or {}).get(status)
