"""A notification log without what it knows of the customer. What was sent when stays."""

from __future__ import annotations

from typing import Any

from services.notifications.domain.notification_log import Customer, Email, NotificationLog, WebhookDelivery
from shared.core.fast_dataclasses import replace


def without_person(log: NotificationLog) -> NotificationLog:
    return replace(
        log,
        customer=Customer("", ""),
        locale=None,
        emails=tuple(map(_email, log.emails)),
        deliveries=tuple(map(_delivery, log.deliveries)),
    )


def _email(email: Email) -> Email:
    """What was still to be sent is not sent any more."""
    ended: dict[str, Any] = {"state": "failed", "code": "erased", "in_doubt": None} if email.state == "pending" else {}
    return replace(email, text=None, call=None, **ended)


def _delivery(delivery: WebhookDelivery) -> WebhookDelivery:
    ended: dict[str, Any] = {"state": "removed"} if delivery.state == "pending" else {}
    return replace(delivery, text=None, **ended)
